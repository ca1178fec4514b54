"""Recorded machines, healthy and sick: exactly the checks fail that should."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from diagnose.children import PROBES
from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import of_lines, read
from diagnose.preflight.report import Report
from diagnose.render import checks, links, markdown, terminal
from diagnose.xids import catalogue
from probes.checking.__main__ import chosen
from probes.nvml import reading
from tests.preflight import recorded

BOOK = book.load()
WORKS = {work.name: work.check for work in chosen([])}
OF_GPUS = [
    name for name, one in WORKS.items() if one.shares is reading.answers or name == "device_nodes"
]  # that NVML is asked for
WATCHED = [
    name for name in OF_GPUS if WORKS[name].lane in {"nvml", "nvml counters"} or WORKS[name].level == "fast"
]
Make = Callable[[str], Report]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def make(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes the checks on one machine, and judges them."""
    folder = tmp_path_factory.mktemp("machines")
    command = [sys.executable, "-m", "tests.preflight.forked"]
    environ = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    with subprocess.Popen(command, env=environ, stdin=-1, stdout=-1, text=True) as server:
        assert server.stdin and server.stdout

        @cache
        def ask(name: str) -> Report:
            of, file = recorded.machine(name), folder / f"{name}.jsonl"
            names = OF_GPUS if of.get("in_full") else WATCHED
            target = {
                "gpu": of["model"],
                "num_gpus": of.get("num_asked", 8),
                "settings": {"watch_s": 0.05, **of.get("settings", {})},
            }
            print(
                json.dumps([recorded.environment(name, library, folder), target, names, str(file)]),
                file=server.stdin,
            )
            server.stdin.flush()
            assert server.stdout.readline() == "\n"
            return judge(read(file), BOOK)

        yield ask
        server.stdin.close()


@pytest.mark.parametrize("name", recorded.names())
def test_a_machine_has_exactly_the_findings_that_it_says(name: str, make: Make) -> None:
    expected, report = recorded.machine(name), make(name)
    found = {check.id: check.outcome for check in report.checks if check.outcome not in {"pass", "skip"}}
    skipped = {
        check.id: check.reason for check in report.checks if check.outcome == "skip" and check.is_demanded
    }
    assert found == expected["expect"], [c.reason for c in report.checks if c.id in found]
    assert sorted(skipped) == expected.get("not_told", []), skipped
    assert report.exit_code == expected.get("exit_code", 1 if "fail" in found.values() else 4 if found else 0)


def shown(report: Report, full: bool = False) -> str:
    return click.unstyle(terminal.lay(checks.page(report, full)))


def test_the_matrix_of_links_marks_the_odd_ones(make: Make) -> None:
    text = shown(make("lost_from_fabric"))
    assert "8 B200 asked for, 8 seen: NVIDIA B200" in text
    assert "   0  X     NV18  NODE! NV18  NV18  NV18  NV18  NV18" in text
    assert "   2  NODE! NODE! X     NODE! SYS!  SYS!  SYS!  SYS!" in text
    assert "   2  no!   no!   X     no!   no!   no!   no!   no!" in text
    styled = terminal.lay(checks.page(make("lost_from_fabric")))
    assert click.style("NODE!", fg="red", bold=True) in styled
    assert "!" not in shown(make("h200")) and "torch" not in shown(make("h200"))
    assert "`   2  NODE! NODE! X" in markdown.lay(checks.page(make("lost_from_fabric")))


def test_a_link_less_on_one_gpu_is_odd_though_the_pair_can_talk(make: Make) -> None:
    assert "   6  NV17! NV17! NV17! NV17! NV17! NV17! X     NV17!" in shown(make("link_down"))


def test_more_gpus_than_fit_are_told_by_their_odd_pairs() -> None:
    pairs = {(one, other): ("NV18", False) for one in range(20) for other in range(one + 1, 20)}
    rows = list(links.matrix({**pairs, (3, 7): ("SYS", True)}, "NVML"))
    assert [row.text for row in rows] == ["NVML: 190 pairs, most NV18", "3-7 SYS!"]


def test_the_command_itself_on_a_machine_whose_driver_hangs(library: Path, tmp_path: Path) -> None:
    """One deadline is the whole cost, every other check says where to look, and the launch is blocked."""
    environ = {**os.environ, **recorded.environment("wedged", library, tmp_path)}
    words = ["--gpu", "H100:8", "--fast", "--only", "gpu,isolation,topology", "--set", "nvml_s=1"]
    command = [
        sys.executable,
        "-m",
        "diagnose",
        "preflight",
        *words,
        "--root",
        str(tmp_path),
        "--format",
        "json",
    ]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    told = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1, done.stderr
    assert (told["A00"]["outcome"], told["A00"]["subjects"][0]["values"]["answers"]) == ("fail", False)
    asked = [check for check in told.values() if "gpu" in check["needs"] and check["level"] == "fast"]
    reasons = {check["reason"] for check in asked}
    assert reasons == {told["A00"]["reason"], "NVML did not answer, see A00", told["B12"]["reason"]}
    spared = [check for check in asked if check["reason"] == "NVML did not answer, see A00"]
    hung = Path(f"{environ['FAKE_NVML']}.hung").read_text().splitlines()
    assert len(spared) > 5 and len(hung) == 1, "it was asked again"


def test_ranks_are_not_started_under_a_driver_that_hangs(library: Path, tmp_path: Path) -> None:
    environ = {**os.environ, **recorded.environment("wedged", library, tmp_path)}
    words = ["--target", json.dumps({"settings": {"nvml_s": 0.3}}), "ranks_start", "rank_arrival"]
    command = [sys.executable, "-P", "-m", "probes.checking", *words]
    environ["PYTHONPATH"] = os.pathsep.join([str(PROBES.parent), environ["PYTHONPATH"]])
    done = subprocess.run(command, env=environ, capture_output=True, timeout=60)
    found = of_lines(done.stdout.splitlines())
    skips = {made.check: made.skip for made in found.checks}
    assert skips["ranks_start"] == reading.SEE_A00 and skips["rank_arrival"].endswith(reading.SEE_A00)


def test_the_codes_that_block_are_those_of_the_table() -> None:
    block, rest, program = (one.when["xid"] for one in BOOK.checks["recent_xids"].threshold)
    action = {code: one.action for code, one in catalogue().items()}
    harm = {"reset-gpu", "reboot-node", "replace"}
    assert set(block.one_of) == {code for code, does in action.items() if does in harm}
    ignored = {"monitor", "ignore", "look-at-companion"}
    assert set(rest.one_of) == {code for code, does in action.items() if does in ignored}
    assert set(program.none_of) == {*block.one_of, *rest.one_of}


def test_the_probe_alone_prints_what_nvml_says_and_what_it_refuses(library: Path, tmp_path: Path) -> None:
    environ = {**os.environ, **recorded.environment("lost", library, tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "probes.nvml"], env=environ, capture_output=True, text=True, timeout=60
    )
    told = json.loads(done.stdout)
    assert (told["event"], told["host"]["driver"], len(told["gpus"])) == ("nvml.asked", "580.105.08", 8)
    assert (told["gpus"][3], told["refused"]["handle 3"]) == ({}, "GPU_IS_LOST")
    assert told["gpus"][0]["links"]["num_active"] == 18 and "pages 0" in told["refused"]

"""Recorded machines, healthy and sick: exactly the checks fail that should."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import read
from diagnose.preflight.report import Report
from probes.checking.__main__ import chosen
from tests.preflight import recorded

BOOK = book.load()
WORKS = {work.name: work.check for work in chosen([])}
OF_GPUS = [name for name, one in WORKS.items() if {"gpu", "gpus"} & {*one.needs} or one.lane == "nvml"]
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

        def ask(name: str) -> Report:
            of, file = recorded.machine(name), folder / f"{name}.jsonl"
            names = OF_GPUS if of.get("in_full") else WATCHED
            target = {
                "gpu": of["model"],
                "num_gpus": 8,
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

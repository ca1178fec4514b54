"""Recorded machines, healthy and sick: exactly the checks fail that should."""

from pathlib import Path

import pytest

from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Target
from diagnose.preflight.report import Report
from diagnose.preflight.running import Wish, run
from probes.checking.__main__ import chosen
from tests.preflight import recorded

BOOK = book.load()
OF_GPUS = [work.name for work in chosen([]) if {"gpu", "gpus"} & {*work.check.needs} or work.check.lane == "nvml"]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded.build(tmp_path_factory.mktemp("nvml"))


def preflight(name: str, library: Path, folder: Path, patch: pytest.MonkeyPatch) -> Report:
    of = recorded.machine(name)
    for key, value in recorded.environment(name, library, folder).items():
        patch.setenv(key, value)
    asked = Target(gpu=of["model"], num_gpus=8, settings={"watch_s": 0.05}, level=of.get("level", "default"))
    return judge(run(Wish(OF_GPUS, asked, 40.0), lambda num, last: None), BOOK)


@pytest.mark.parametrize("name", recorded.names())
def test_a_machine_has_exactly_the_findings_that_it_says(
    name: str, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = preflight(name, library, tmp_path, monkeypatch)
    found = {check.id: check.outcome for check in report.checks if check.outcome not in {"pass", "skip"}}
    skipped = {check.id: check.reason for check in report.checks if check.outcome == "skip" and check.is_demanded}
    expected = recorded.machine(name)
    assert found == expected["expect"], [c.reason for c in report.checks if c.id in found]
    assert sorted(skipped) == expected.get("not_told", []), skipped
    assert report.exit_code == expected.get("exit_code", 1 if "fail" in found.values() else 4 if found else 0)

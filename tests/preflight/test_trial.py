"""Two real ranks, launched once: what they told is what the checks of their lane say."""

import sys
import sysconfig
from pathlib import Path

import pytest

from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Measured, Target
from diagnose.preflight.report import Report
from diagnose.preflight.running import Wish, run
from probes.checking.__main__ import chosen
from probes.checks.escape_routes import CULPRIT
from tests.preflight.test_checks import samples

LANE = [work.name for work in chosen([]) if work.check.lane == "ranks"]
OPS = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv"}
pytestmark = [pytest.mark.ranks, pytest.mark.torch]


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Measured, Report]:
    pytest.importorskip("torch", reason="torch is not installed")
    folder = tmp_path_factory.mktemp("model")
    (folder / "config.json").write_text("{}")
    found = run(Wish(LANE, Target(folders=[str(folder), "/no/such"]), 60.0), lambda num_made, last: None)
    return found, judge(found, book.load())


def values(real, name):
    made = next(made for made in real[0].checks if made.check == name)
    return {one.subject: one.values for one in made.measurements if not one.skip}


def test_every_check_of_the_lane_is_made_or_says_why_not(real):
    outcomes = {check.name: (check.outcome, check.reason) for check in real[1].checks}
    needs = {work.name: work.check.needs for work in chosen(LANE) if work.check.level == "default"}
    assert outcomes.keys() == needs.keys()
    for name, (outcome, reason) in outcomes.items():
        wanted = "skip" if {"gpu", "gpus", "nodes"} & {*needs[name]} else "pass"
        wanted = "fail" if name == "folders_written" else wanted
        assert (outcome, bool(reason)) == (wanted, True), f"{name}: {reason}"


def test_ranks_come_through(real):
    told = values(real, "ranks_start")
    assert told.keys() == {"rank 0", "rank 1"} and all(one["is_through"] for one in told.values())


def test_each_collective_is_right_and_timed_at_each_size(real):
    assert values(real, "collective_results").keys() == OPS
    speed = values(real, "collective_speed")
    assert {one["op"] for one in speed.values()} == OPS and len(speed) == 2 * len(OPS)
    assert all(0 < one["median_s"] <= one["p95_s"] and one["busbw_gbps"] > 0 for one in speed.values())
    assert sum("all_reduce_gbps" in one for one in speed.values()) == 1


def test_ranks_tell_each_other_who_they_are(real):
    assert values(real, "world_arithmetic")["job"]["world_size_told"] == 2
    assert values(real, "versions_equal").keys() >= {"python", "torch"}
    assert abs(values(real, "clock_offset")["rank 1"]["offset_s"]) < 1
    assert {one["reach"] for one in values(real, "rendezvous_reachable").values()} == {"ok"}


def test_folders_are_looked_at_by_every_rank(real):
    written = values(real, "folders_written")
    assert len(written) == 4
    assert {bool(one["refusal"]) for subject, one in written.items() if "/no/such" in subject} == {True}
    equal = [one for subject, one in values(real, "folders_equal").items() if "model" in subject]
    assert [(one["num_views"], one["most_files"]) for one in equal] == [(1, 1)]


def test_samples_are_of_the_form_that_is_measured(real):
    for made in real[0].checks:
        for one in (one for one in made.measurements if not one.skip):
            known = {key for sample in samples(made.check) for key in sample.values}
            assert known >= {key for key, value in one.values.items() if value is not None}, made.check


def unless_busy(report: Report) -> Report:
    """On a machine that is busy with other work nothing is concluded, here as there."""
    if late := [check.reason for check in report.checks if "of a CPU here" in check.reason]:
        pytest.skip(late[0])
    return report


@pytest.mark.slow
def test_evidence_of_a_real_hang_gets_out(tmp_path, monkeypatch):
    """The deep trial: the same ranks under our agent, a compile, and a hang on purpose."""
    monkeypatch.setenv("DIAGNOSE_ROOT", str(tmp_path / "runs"))
    names = ["ranks_start", "escape_routes", "compile_skew"]
    found = run(Wish(names, Target(level="deep"), 400.0), lambda num_made, last: None)
    report = unless_busy(judge(found, book.load()))
    routes = values((found, report), "escape_routes")
    assert {check.outcome for check in report.checks} <= {"pass", "warn"}, report.checks
    assert routes["verdict"]["ranks"] == str(CULPRIT) and routes["stack"]["num_missing"] == 0
    assert routes["flight recorder"]["has_culprit"] and routes["verdict.written"]["after_s"] > 0
    assert values((found, report), "compile_skew")["job"]["slowest_s"] > 0
    assert not list(Path(tmp_path / "runs").iterdir())  # the rehearsal leaves nothing behind


@pytest.mark.slow
def test_where_nothing_can_be_taken_from_the_ranks_the_rehearsal_fails(tmp_path, monkeypatch):
    """Ranks that start without our hook: no signal is heard, no server answers, no progress is ever told."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("PYTHON_EXEC", str(python))  # torchrun's word for the ranks' interpreter
    monkeypatch.setenv("PYTHONPATH", sysconfig.get_path("purelib"))
    monkeypatch.setenv("DIAGNOSE_ROOT", str(tmp_path / "runs"))
    found = run(
        Wish(["ranks_start", "escape_routes"], Target(level="deep"), 400.0), lambda num_made, last: None
    )
    outcomes = {check.name: check.outcome for check in unless_busy(judge(found, book.load())).checks}
    assert outcomes == {"ranks_start": "pass", "escape_routes": "fail"}
    routes = values((found, None), "escape_routes")
    assert not routes["stack"]["has_culprit"] and not routes["job.stalled"]["is_told"]

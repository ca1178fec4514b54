"""Each check has thresholds, each threshold a sample that crosses it, and all are made on this machine."""

import tomllib
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from diagnose.model import Record, Scalar
from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Machine, Made, Measured, Measurement, Target
from diagnose.preflight.running import Wish, run
from probes.checking.__main__ import chosen, names
from probes.checking.check import COSTS, LEVELS, Check
from probes.checking.machine import Machine as Seen
from probes.checking.machine import missing

SAMPLES = Path(__file__).parent / "samples"
BOOK = book.load()
WORKS = {work.name: work for work in chosen([])}


class Sample(Record, frozen=True):
    """One measurement as a machine gave it, or could have; a value that is not there is not known."""

    outcome: Literal["pass", "warn", "fail", "skip", "error"]
    values: dict[str, Scalar] = {}
    subject: str = "host"
    where: str = "sample"
    skip: str = ""
    error: str = ""
    unanswered: bool = False
    machine: dict[str, Scalar] = {}
    target: dict[str, Scalar] = {}


class Samples(Record, frozen=True):
    sample: list[Sample]


def samples(name: str) -> list[Sample]:
    return msgspec.convert(tomllib.loads((SAMPLES / f"{name}.toml").read_text()), Samples).sample


def measured(name: str, one: Sample) -> Measured:
    found = [Measurement(one.subject, one.where, one.values, one.skip)] if one.values or one.skip else []
    made = Made(
        name, 0.1, found, error=one.error, unanswered=one.unanswered, needs=list(WORKS[name].check.needs)
    )
    machine, target = msgspec.convert(one.machine, Machine), msgspec.convert(one.target, Target)
    return Measured("host", 0.0, 0.1, "ended", machine, target, [made], wanted=[name])


def test_checks_thresholds_and_samples_are_the_same_files() -> None:
    assert set(names()) == BOOK.checks.keys() == {path.stem for path in SAMPLES.glob("*.toml")}


def test_no_two_checks_have_one_id() -> None:
    ids = [check.id for check in BOOK.checks.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", WORKS)
def test_a_check_declares_what_is_known(name: str) -> None:
    check: Check = WORKS[name].check
    assert check.level in LEVELS and set(check.cost) <= COSTS.keys() and check.limit_s > 0
    missing(check.needs, Seen("linux", "", 1, 9, 9), on_nothing())
    assert not check.after or WORKS[check.after].check.lane == check.lane != ""


def on_nothing():  # type: ignore[no-untyped-def]
    from probes.checking.check import Target as Aim

    return Aim({}, num_nodes=2, python="/bin/false")


@pytest.mark.parametrize("name", BOOK.checks)
def test_a_sample_has_the_outcome_that_it_says(name: str) -> None:
    for one in samples(name):
        [result] = judge(measured(name, one), BOOK).checks
        assert (result.outcome, bool(result.reason)) == (one.outcome, True), f"{one}: {result.reason}"


@pytest.mark.parametrize("name", BOOK.checks)
def test_each_threshold_is_crossed_by_a_sample_and_some_sample_is_good(name: str) -> None:
    found = [judge(measured(name, one), BOOK).checks[0] for one in samples(name)]
    crossed = {(c.severity, c.text) for result in found for part in result.subjects for c in part.crossed}
    check = BOOK.checks[name]
    assert crossed == {(one.severity, one.text) for one in check.threshold}
    assert not check.unanswered or any(one.unanswered for one in samples(name))
    assert "pass" in {result.outcome for result in found}


@pytest.mark.parametrize("name", [name for name, check in BOOK.checks.items() if check.tell])
def test_what_a_finding_tells_besides_is_measured(name: str) -> None:
    found = [judge(measured(name, one), BOOK).checks[0] for one in samples(name)]
    told = {key for result in found for part in result.subjects for c in part.crossed for key in c.values}
    assert set(BOOK.checks[name].tell) <= told


@pytest.fixture(scope="module")
def real() -> Measured:
    """All fast and default checks, made on this machine; test_trial.py starts the ranks.

    Those that had no answer by their deadline are made again, alone: the machine may have been busy.
    """
    found = run(Wish(names(), Target(), 60.0, ["ranks"]), lambda num_made, last: None)
    late = [made.check for made in found.checks if made.unanswered]
    again = run(Wish(late, Target(), 60.0, ["ranks"]), lambda num_made, last: None).checks if late else []
    kept = [made for made in found.checks if made.check not in {one.check for one in again}]
    return msgspec.structs.replace(found, checks=[*kept, *again])


def test_every_check_has_an_outcome_and_a_reason_on_this_machine(real: Measured) -> None:
    report = judge(real, BOOK)
    assert real.how == "ended"
    assert {check.name for check in report.checks} | set(real.left) == BOOK.checks.keys()
    assert all(check.reason for check in report.checks)
    assert {check.outcome for check in report.checks} <= {"pass", "warn", "fail", "skip"}
    assert not [check for check in report.checks if "said nothing" in check.reason]


def test_samples_are_of_the_form_that_is_measured(real: Measured) -> None:
    for made in real.checks:
        for one in (one for one in made.measurements if not one.skip):
            known = {key for sample in samples(made.check) for key in sample.values}
            assert known >= set(one.values) - {k for k, v in one.values.items() if v is None}, made.check

"""The report: every check with its outcome, and why; JSON is this, as it stands."""

from collections import Counter

import msgspec

from diagnose.model import Scalar
from diagnose.preflight.measured import Measured

SCHEMA = "diagnose/preflight/1"
OUTCOMES = ("fail", "warn", "error", "skip", "pass")  # the worst of its subjects is a check's


class Crossed(msgspec.Struct, frozen=True):
    """One threshold that was crossed, with what was read and what it was compared with."""

    severity: str
    text: str
    values: dict[str, Scalar]
    wanted: dict[str, str]  # key -> the comparison
    source: str
    date: str


class Subject(msgspec.Struct, frozen=True):
    """What a check found on one GPU, rank, path or pair."""

    subject: str
    outcome: str
    reason: str
    where: str = ""
    values: dict[str, Scalar] = {}
    crossed: list[Crossed] = []


class Result(msgspec.Struct, frozen=True):
    id: str
    name: str
    title: str
    group: str
    outcome: str
    reason: str
    subjects: list[Subject] = []
    is_demanded: bool = False  # what was asked for needs its answer
    level: str = "fast"
    needs: list[str] = []
    cost: list[str] = []
    took_s: float = 0.0
    why: str = ""
    remedy: str = ""
    lookalikes: list[str] = []
    basis: str = ""


class Difference(msgspec.Struct, frozen=True):
    """What is not as it was in an earlier pre-flight."""

    id: str
    subject: str
    what: str  # outcome, or the key of a value
    before: Scalar
    after: Scalar


class Report(msgspec.Struct, frozen=True):
    """A pre-flight, judged."""

    outcome: str  # fail | unknown | warn | pass
    exit_code: int
    summary: dict[str, int]
    checks: list[Result]
    measured: Measured
    run: str = ""
    left: list[str] = []  # ids of a deeper level
    compared_with: str = ""
    differences: list[Difference] = []
    schema: str = SCHEMA


def decide(checks: list[Result], is_whole: bool = True) -> tuple[str, int]:
    """The whole outcome and its exit code: 1 over 3 over 4 over 0. Where nothing passed, it did not pass."""
    outcomes = {part.outcome for check in checks for part in check.subjects} | {c.outcome for c in checks}
    unmade = {"skip", "error"}
    is_open = any(
        check.is_demanded and unmade & {check.outcome, *(part.outcome for part in check.subjects)}
        for check in checks
    )
    if "fail" in outcomes:
        return "fail", 1
    if is_open or not is_whole:
        return "unknown", 3
    if "warn" in outcomes:
        return "warn", 4
    return ("pass" if "pass" in outcomes else "unknown"), 0


def summary(checks: list[Result]) -> dict[str, int]:
    """How many checks have which outcome."""
    found = Counter(check.outcome for check in checks)
    return {outcome: found[outcome] for outcome in reversed(OUTCOMES)}


def encode(report: Report) -> bytes:
    plain = msgspec.to_builtins(report)
    body = {"schema": plain.pop("schema"), **plain}
    return msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n"

"""Whether a verdict names what a drill injected: the failure and exactly the culprit ranks. Pure."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from diagnose.model import Record


class Injected(Record, frozen=True):
    """What a drill does; `failure` is None where nothing is wrong with the job."""

    failure: str | None
    ranks: list[int]


class Answer(Record, frozen=True):
    """What is expected of a run, or what came of it."""

    failure: str | None
    ranks: list[int]
    symptom: str
    ends: Literal["ok", "error", "lost"]  # how the command ended; lost: it had to be stopped
    others: list[str] = []  # further causes, as "failure on ranks"


class Score(Record, frozen=True):
    """One row of `diagnose drill`."""

    name: str
    right: bool
    skipped: bool
    expected: Answer
    got: Answer | None = None
    reason: str = ""  # why it was skipped, or is wrong
    seconds: float = 0.0
    run: str = ""  # the run directory, where it was kept
    to_verdict_s: float | None = None  # from the first sign of the fault to the first right verdict on disk


class Named(msgspec.Struct, frozen=True):
    """The part of a cause that is scored; other keys are ignored."""

    failure: str
    ranks: list[int] = []


class Told(msgspec.Struct, frozen=True):
    """The part of a verdict that is scored; other keys are ignored."""

    symptom: str
    causes: list[Named] = []


def answer(verdict: bytes, ends: Literal["ok", "error", "lost"]) -> Answer:
    """What a `diagnose/verdict/1` object says, first cause first. Raises msgspec.DecodeError."""
    told = msgspec.json.decode(verdict, type=Told)
    first = told.causes[0] if told.causes else None
    return Answer(
        failure=first.failure if first else None,
        ranks=sorted(first.ranks) if first else [],
        symptom=told.symptom,
        ends=ends,
        others=[cause(other.failure, other.ranks) for other in told.causes[1:]],
    )


def cause(failure: str | None, ranks: Sequence[int]) -> str:
    """One cause as text."""
    return f"{failure} on {sorted(ranks)}"


def differences(expected: Answer, got: Answer, left: Sequence[str] = ()) -> list[str]:
    """What is wrong with an answer, in words; nothing when it is right.

    `left` names the processes that outlived the run: there must be none.

    >>> want = Answer(failure="compile_skew", ranks=[3], symptom="slow", ends="ok")
    >>> differences(want, want)
    []
    >>> differences(want, Answer(failure="straggler", ranks=[2, 3], symptom="slow", ends="ok"))
    ['failure straggler, not compile_skew', 'ranks [2, 3], not [3]']
    >>> differences(want, want, left=["python 4711"])
    ['left behind: python 4711']
    """
    pairs = (("symptom", got.symptom, expected.symptom), ("ended", got.ends, expected.ends))
    return [
        *wrong_causes(expected, got),
        *contradictions(pairs),
        *(f"left behind: {process}" for process in left),
    ]


def wrong_causes(expected: Answer, got: Answer) -> list[str]:
    """What is wrong with the causes; which of several faults comes first is chance."""
    if not expected.others:
        pairs = (
            ("failure", got.failure, expected.failure),
            ("ranks", sorted(got.ranks), sorted(expected.ranks)),
        )
        return [*contradictions(pairs), *(f"also {other}" for other in got.others)]
    wanted = {cause(expected.failure, expected.ranks), *expected.others}
    named = {cause(got.failure, got.ranks), *got.others}
    return [
        *(f"not {one}" for one in sorted(wanted - named)),
        *(f"also {one}" for one in sorted(named - wanted)),
    ]


def contradictions(pairs: Iterable[tuple[str, object, object]]) -> list[str]:
    return [
        f"{what} {mine or 'none'}, not {wanted or 'none'}" for what, mine, wanted in pairs if mine != wanted
    ]

"""A comparison of two runs as it leaves the program: the JSON contract `diagnose/compare/1`."""

from typing import Any

import msgspec

SCHEMA = "diagnose/compare/1"


class Difference(msgspec.Struct, frozen=True):
    path: str
    title: str
    before: Any
    after: Any
    why: str
    can_cause: list[str] = []
    how: str = "text"
    apart: str = ""  # of versions: major | minor | patch | build
    minor: bool = False  # worth a line, and no difference between runs
    is_drift: bool = True  # not what an operator asks for


class Untold(msgspec.Struct, frozen=True):
    """What cannot be compared: one record does not tell it, or both hide it."""

    path: str
    title: str
    why: str
    missing: str  # a | b | both | hidden (the same in both, and may hide a difference)
    told: Any = None
    how: str = "text"
    early: bool = False  # it ended before its first step, and may only not have come so far


class Span(msgspec.Struct, frozen=True):
    value: float
    low: float | None = None
    high: float | None = None


class Figure(msgspec.Struct, frozen=True):
    path: str
    title: str
    unit: str
    before: Span | None
    after: Span | None
    ratio: float | None = None
    differs: bool | None = None  # None: a single sample, or one side is not told


class Side(msgspec.Struct, frozen=True):
    run: str
    where: str
    lane: str = ""
    ended: str = ""
    is_receipt: bool = False
    lacks: list[str] = []


class Comparison(msgspec.Struct, frozen=True):
    a: Side
    b: Side
    comparable: bool
    reasons: list[str] = []  # why they are not comparable
    doubts: list[str] = []
    differences: list[Difference] = []  # the most suspicious first
    unknown: list[Untold] = []
    not_told: list[str] = []  # paths that neither tells
    measurable: bool = False
    not_measured: list[str] = []  # why the figures are not compared
    figures: list[Figure] = []
    schema: str = SCHEMA

    def exit_code(self) -> int:
        """0 the same, 1 differences found, 3 not comparable or could not tell."""
        if not self.comparable:
            return 3
        if any(not one.minor for one in self.differences) or any(one.differs for one in self.figures):
            return 1
        return 3 if self.not_measured or any(one.missing != "both" for one in self.unknown) else 0

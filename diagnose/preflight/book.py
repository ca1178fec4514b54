"""The thresholds of the checks, as the playbook has them: typed, and refused at the first unknown key."""

import math
import re
from pathlib import Path
from typing import Literal

from diagnose import playbook
from diagnose.model import Record, Scalar

Group = Literal["gpu", "isolation", "topology", "limits", "software", "storage", "network", "bench"]
Severity = Literal["block", "warn", "info"]


class Test(Record, frozen=True, rename={"is_": "is"}):
    """A closed set of comparisons with one value; all that are set must hold."""

    __test__ = False  # not a pytest class

    is_: Scalar = None
    is_not: Scalar = None
    one_of: list[Scalar] = []
    none_of: list[Scalar] = []
    below: int | float | None = None
    above: int | float | None = None
    at_least: int | float | None = None
    at_most: int | float | None = None
    matches: str | None = None
    below_expected: float | None = None  # this share of the baseline's value under the same key

    def __str__(self) -> str:
        words = {
            "is": self.is_,
            "is not": self.is_not,
            "one of": ", ".join(map(str, self.one_of)) or None,
            "none of": ", ".join(map(str, self.none_of)) or None,
            "below": self.below,
            "above": self.above,
            "at least": self.at_least,
            "at most": self.at_most,
            "matches": self.matches,
            "below expected times": self.below_expected,
        }
        return " and ".join(f"{word} {value}" for word, value in words.items() if value is not None)

    def holds(self, value: Scalar, expected: float | None = None) -> bool | None:
        """Whether `value` passes every comparison that is set; None where it, or `expected`, is not known."""
        if value is None or (self.below_expected is not None and expected is None):
            return None
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        return (
            (self.is_ is None or value == self.is_)
            and (self.is_not is None or value != self.is_not)
            and (not self.one_of or value in self.one_of)
            and value not in self.none_of
            and (self.below is None or number < self.below)
            and (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.at_most is None or number <= self.at_most)
            and (self.matches is None or re.search(self.matches, str(value)) is not None)
            and (self.below_expected is None or expected is None or number < self.below_expected * expected)
        )


class Threshold(Record, frozen=True):
    """Crossed where every value passes its test. One whose values are not known leaves the check unmade."""

    severity: Severity
    when: dict[str, Test]
    text: str  # what it means that this is so
    if_told: bool = False  # its values may be missing: only some users or machines tell them
    source: str = ""  # where it has its own; else the check's
    date: str = ""


class Check(Record, frozen=True):
    """One check: when its measurement is bad, why that matters, what to do."""

    id: str  # the reference's
    title: str  # what is so where it passes
    group: Group
    why: str
    remedy: str
    lookalikes: list[str]
    basis: str  # who else checks it; `own`, `heuristic`
    source: str
    date: str
    threshold: list[Threshold] = []
    tell: list[str] = []  # values that no threshold compares, shown with what is found: who, where
    unanswered: Severity | None = None  # no answer by the deadline is a finding of this severity
    optional: bool = False  # not every GPU tells it: where one does not, nothing stays open
    by_run: bool = False  # `diagnose run` sees to it itself: its gate leaves this out
    untold: dict[str, str] = {}  # kernel -> why this says nothing there, whatever was read


class Expected(Record, frozen=True):
    """One reference value: other people's measurement, never a specification."""

    value: float
    source: str
    date: str
    note: str = ""


class Baseline(Record, frozen=True):
    """Reference values of one GPU model, by key of a measurement and number of GPUs (`any`: whatever)."""

    title: str
    models: list[str]  # patterns for NVML's name of the GPU, or for what the user calls it
    expected: dict[str, dict[str, Expected]] = {}


class Settings(Record, frozen=True):
    budget_s: dict[Literal["fast", "default", "deep"], float]
    changed_share: float  # a number that differs by more from an earlier run is said to have changed
    platform: dict[str, dict[str, float]] = {}  # what it leaves a job: the settings of checks, by their names


class Book(Record, frozen=True):
    checks: dict[str, Check]
    baselines: dict[str, Baseline]
    settings: Settings

    def expected(self, key: str, model: str, num_gpus: int) -> Expected | None:
        """The reference value for a key on so many GPUs of a model; None where there is none."""
        for baseline in self.baselines.values():
            if any(re.search(pattern, model, re.IGNORECASE) for pattern in baseline.models):
                values = baseline.expected.get(key, {})
                if found := values.get(str(num_gpus)) or values.get("any"):
                    return found
        return None


def load(at: Path | None = None) -> Book:
    """Read every file; a file's name is its check's. Raises PlaybookError."""
    top = (at or playbook.root()) / "preflight"
    return Book(
        {path.stem: playbook.read(path, Check) for path in sorted(top.glob("*.toml"))},
        {path.stem: playbook.read(path, Baseline) for path in sorted((top / "baselines").glob("*.toml"))},
        playbook.read(top.parent / "preflight.toml", Settings),
    )


def choose(words: list[str], book: Book) -> set[str]:
    """The checks that ids, names or groups mean. Raises PlaybookError for a word that means none."""
    found: set[str] = set()
    for word in words:
        asked = word.strip().lower().replace("-", "_")
        mine = {name for name, c in book.checks.items() if asked in {name, c.id.lower(), c.group}}
        if not mine:
            groups = sorted({check.group for check in book.checks.values()})
            raise playbook.PlaybookError(f"no check {word}; give ids, names or groups: {', '.join(groups)}")
        found |= mine
    return found

"""What `postmortem` says of an incident, held against its truth by class and by ranks."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from diagnose import judge, pipeline
from diagnose.bundle import members
from diagnose.model import Member
from diagnose.playbook import load
from diagnose.verdict import Verdict

HERE = Path(__file__).parent
REAL, WRITTEN, CAPTURED = HERE / "incidents", HERE / "written", HERE.parent / "cases"
BOOK = load()
CLASSES = tomllib.loads((HERE / "classes.toml").read_text())
NAMES = {int(number): name for number, name in CLASSES["names"].items()}
GENERAL = set(CLASSES["general"]["failures"])
CANNOT_TELL, HEALTHY = 0, 20


class MustNotBlame(msgspec.Struct, frozen=True):
    classes: list[int] = []
    ranks: list[int] = []


class Truth(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """What was wrong, as far as the evidence tells. `culprit_ranks` None: it names nobody."""

    class_: int
    acceptable_classes: list[int] = []
    culprit_ranks: list[int] | None = None
    culprit_alternatives: list[list[int]] = []
    must_not_blame: MustNotBlame = MustNotBlame()
    abstain_ok: bool = False

    def classes(self) -> set[int]:
        return {self.class_, *self.acceptable_classes}

    def ranks(self) -> list[list[int]]:
        return [] if self.culprit_ranks is None else [self.culprit_ranks, *self.culprit_alternatives]


class WrittenTruth(Truth, frozen=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """A written case's: where its formats come from, and why the truth is what it is."""

    origin: str = "written"
    formats: str = ""
    why: str = ""


@dataclass(frozen=True)
class Case:
    name: str
    truth: Truth
    folder: Path

    def members(self) -> Iterator[Member]:
        return (m for m in members(str(self.folder)) if not m.where.endswith("truth.toml"))


@dataclass(frozen=True)
class Score:
    """`outcome`: right | abstained | wrong. `ranks`: exact | none | wrong; "" where the truth names none."""

    outcome: str
    ranks: str
    told: str


def real(half: str = "all") -> list[Case]:
    """The incidents from public threads: those of odd numbers, of even ones, or all."""
    halves = {"odd": (1,), "even": (0,), "all": (0, 1)}[half]
    return [
        Case(path.stem, msgspec.json.decode(path.read_bytes(), type=Truth), REAL / path.stem)
        for path in sorted((REAL / "truth").glob("*.json"))
        if int(path.stem.lstrip("h")) % 2 in halves
    ]


def written() -> list[Case]:
    return [
        Case(path.parent.name, msgspec.convert(tomllib.loads(path.read_text()), WrittenTruth), path.parent)
        for path in sorted(WRITTEN.glob("*/truth.toml"))
    ]


def captured() -> list[Case]:
    """Bundles of real runs. Their exact verdicts are goldens: here only their classes count."""
    found = []
    for path in sorted(CAPTURED.glob("*/truth.toml")):
        causes = tomllib.loads(path.read_text()).get("causes", [])
        classes = sorted({number for cause in causes for number in classes_of(cause["failure"])})
        ranks = sorted({rank for cause in causes for rank in cause["ranks"]}) or None
        truth = Truth((classes or [HEALTHY if not causes else CANNOT_TELL])[0], classes, ranks)
        found.append(Case(path.parent.name, truth, path.parent / "bundle"))
    return found


@cache
def classes_of(failure: str) -> frozenset[int]:
    """The classes that a failure means; none for one that does not say what is wrong."""
    if failure in GENERAL:
        return frozenset()
    if failure in CLASSES["failures"]:
        return frozenset(CLASSES["failures"][failure])
    explained = judge.effects(failure, BOOK) if failure in BOOK.failures else set()
    return frozenset(n for name in explained for n in CLASSES["failures"].get(name, []))


def verdict(case: Case, of: Iterable[Member] | None = None) -> Verdict:
    return pipeline.diagnose_bundle(case.name, case.members() if of is None else of, BOOK)


def score(told: Verdict, truth: Truth) -> Score:
    """A cause counts by its class. One class that is not the truth's, or an innocent rank, is wrong blame."""
    blamed = {number for cause in told.causes for number in classes_of(cause.failure)}
    ranks = sorted({rank for cause in told.causes for rank in cause.ranks})
    fits = [bool(classes_of(cause.failure) & truth.classes()) for cause in told.causes]
    strange = [c for c, fit in zip(told.causes, fits, strict=True) if classes_of(c.failure) and not fit]
    forbidden = set(truth.must_not_blame.classes) & blamed - truth.classes()
    innocent = set(truth.must_not_blame.ranks) & set(ranks)
    named = truth.ranks()
    may_abstain = truth.abstain_ok or truth.class_ == CANNOT_TELL
    may_abstain |= HEALTHY in truth.classes() and not told.causes and calm(told)
    if strange or forbidden or innocent:
        outcome = "wrong"
    elif any(fits) or may_abstain:
        outcome = "right"
    else:
        outcome = "abstained"
    how = "" if not named else "exact" if ranks in named else "wrong" if ranks else "none"
    return Score(outcome, how, said(told))


def calm(told: Verdict) -> bool:
    """Whether a verdict without a cause says that nothing is wrong, rather than that it cannot tell."""
    return told.symptom in ("none", "slow") or any(HEALTHY in classes_of(c.failure) for c in told.context)


def said(told: Verdict) -> str:
    causes = [f"{c.failure} on {c.ranks}" if c.ranks else c.failure for c in told.causes]
    return ", ".join(causes) or f"no cause, symptom {told.symptom}"


def judged(case: Case) -> Score:
    """A crash is an outcome, and is counted."""
    try:
        return score(verdict(case), case.truth)
    except Exception as error:
        return Score("wrong", "", f"crashed: {error!r}")

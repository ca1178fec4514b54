"""Cases: bundles of real evidence with their truth, and the verdict we give, clause by clause.

A case is a folder `tests/cases/<name>/` with `truth.toml` (what was really wrong, and where the evidence came
from), `bundle/` and `golden.json` (the verdict, and how every failure of the playbook fared). Goldens are
rewritten by `REWRITE_GOLDENS=1 pytest tests/test_cases.py`, never by hand; truth is never rewritten.
"""

import os
import tomllib
from pathlib import Path

import msgspec
import pytest

from diagnose import attempts, coverage, judge, pipeline
from diagnose.bundle import members
from diagnose.model import Record
from diagnose.playbook import load

HERE = Path(__file__).parent / "cases"
CASES = sorted(path.parent for path in HERE.glob("*/truth.toml"))
NOT_JUDGED = {
    "recognised_in",
    "unrecognised_lines",
    "explained",
    "move",
    "sorting",
}  # what was in the files, however it is judged
BOOK = load()


class Culprit(Record, frozen=True):
    failure: str
    ranks: list[int]


class Truth(Record, frozen=True):
    captured_from: str
    symptom: str
    causes: list[Culprit] = []


def truth(case: Path) -> Truth:
    return msgspec.convert(tomllib.loads((case / "truth.toml").read_text()), Truth)


def events(case: Path):
    return pipeline.parse(members(str(case / "bundle")))[0]


def findings(evidence):
    facts = pipeline.derive(evidence)
    return [judge.match(n, f, facts, evidence, pipeline.needs()) for n, f in BOOK.failures.items()]


@pytest.fixture(params=CASES, ids=[case.name for case in CASES])
def case(request):
    return request.param


def test_there_are_cases():
    assert CASES


def test_the_verdict_names_exactly_what_was_wrong(case):
    verdict = pipeline.diagnose_bundle("bundle", members(str(case / "bundle")), BOOK)
    assert [Culprit(c.failure, c.ranks) for c in verdict.causes] == truth(case).causes
    assert verdict.symptom == truth(case).symptom


def test_every_failure_of_the_playbook_fares_as_before(case):
    """Every failure is held against every case: a new one that fires on an old case shows here."""
    verdict = pipeline.diagnose_bundle("bundle", members(str(case / "bundle")), BOOK)
    parts = pipeline.parted(events(case))
    fared = [
        {"attempt": name, "failure": f.failure, "status": f.status, "ranks": f.ranks, "missing": f.missing}
        for name, part in parts.items()
        for f in findings(coverage.gather(part))
    ]
    told = msgspec.to_builtins(verdict)
    document = {
        "verdict": {key: value for key, value in told.items() if key not in NOT_JUDGED},
        "findings": [f for f in fared if f["status"] != "absent"],
    }
    encoded = msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1) + b"\n"
    golden = case / "golden.json"
    if os.environ.get("REWRITE_GOLDENS"):
        golden.write_bytes(encoded)
    assert golden.read_bytes() == encoded, f"{golden}: set REWRITE_GOLDENS=1 if the change is meant"


def allowed(case: Path) -> dict[str, set[int]]:
    """The true failures and everything on their chains, with the ranks each may name: those of a node or of
    the whole job, where the truth is about one.
    """
    found: dict[str, set[int]] = {}
    for cause in truth(case).causes:
        is_wide = BOOK.failures[cause.failure].scope != "rank"
        for name in {cause.failure, *judge.effects(cause.failure, BOOK)}:
            found.setdefault(name, set()).update(range(64) if is_wide else cause.ranks)
    return found


def test_with_a_source_taken_away_the_verdict_is_never_a_different_cause(case):
    seen = events(case)
    fits = allowed(case)
    for source in sorted({e.source for e in seen} - {"bundle"}):
        parts = list(pipeline.parted([e for e in seen if e.source != source]).values())
        verdicts = [pipeline.judge("bundle", part, BOOK) for part in parts]
        for cause in attempts.of_the_run(verdicts, attempts.stands(parts[-1])).causes:
            assert cause.failure in fits, f"without {source}: {cause.failure} {cause.ranks}"
            assert set(cause.ranks) <= fits[cause.failure], f"without {source}: {cause.failure} {cause.ranks}"

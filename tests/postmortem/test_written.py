"""The written cases: right by class and by ranks, whatever is taken away or spoilt.

A case is a folder `written/<name>/`: the files as somebody would post them, and `truth.toml`. Those in
`open.toml` are not right yet; one that has become right must leave it.
"""

import random

import msgspec
import pytest

from tests.postmortem import open_cases
from tests.postmortem.less import of_text, something_else
from tests.postmortem.scoring import (
    BOOK,
    CLASSES,
    GENERAL,
    NAMES,
    captured,
    classes_of,
    judged,
    real,
    verdict,
    written,
)

CASES = written()
OPEN = open_cases.load()


def cases(table):
    """Every case as a parameter; those open in this table are expected to fail."""
    reasons = OPEN[table]
    return [
        pytest.param(
            case,
            id=case.name,
            marks=pytest.mark.xfail(reason=reasons[case.name], strict=True) if case.name in reasons else [],
        )
        for case in CASES
    ]


@pytest.mark.parametrize("case", cases("cases"))
def test_the_class_and_the_culprits_are_right(case):
    got = judged(case)
    assert open_cases.is_good(got), f"{got} {case.truth}"


@pytest.mark.parametrize("case", cases("less"))
def test_with_less_evidence_nothing_else_is_said(case):
    if open_cases.blames(judged(case)):
        pytest.skip("wrong with all of it")
    assert something_else(case) == ""


@pytest.mark.parametrize("case", cases("dressed"))
def test_the_tools_that_hand_it_over_change_nothing(case):
    assert open_cases.spoilt_by(case, judged(case)) == ""


def shuffled(text, chance):
    lines = text.splitlines(keepends=True)
    chance.shuffle(lines)
    return b"".join(lines)


def cut(text, chance):
    return text[: chance.randrange(len(text) + 1)]


def spoilt(text, chance):
    """Some bytes replaced by any others."""
    found = bytearray(text)
    for _ in range(len(found) // 20):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def pasted(text, chance):
    """The parts of the file in another order, one of them twice, as a log pasted together."""
    at, to = chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)
    return text[to:] + text[:at] + text[min(at, to) :]


DAMAGES = (shuffled, cut, spoilt, pasted)


def survives(case, damage):
    chance = random.Random(f"{case.name} {damage.__name__}")
    damaged = [of_text(m.where, damage(m.read(1 << 20), chance)) for m in case.members()]
    told = verdict(case, damaged)
    assert msgspec.json.encode(told)
    assert all(0 <= rank < 1 << 24 for cause in told.causes for rank in cause.ranks)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("case", [*CASES, *real("odd")], ids=lambda case: case.name)
def test_damaged_files_raise_nothing(case, damage):
    survives(case, damage)


@pytest.mark.parametrize("case", captured(), ids=lambda case: case.name)
def test_damaged_bundles_raise_nothing(case):
    survives(case, random.Random(case.name).choice(DAMAGES))


def test_every_class_has_written_cases():
    assert {case.truth.class_ for case in CASES} == set(NAMES)


def test_every_root_failure_belongs_to_a_class():
    roots = [name for name, failure in BOOK.failures.items() if failure.role == "root"]
    assert [name for name in roots if name not in GENERAL and not classes_of(name)] == []
    assert GENERAL.isdisjoint(CLASSES["failures"])


def test_open_cases_are_cases():
    assert {name for rows in OPEN.values() for name in rows} <= {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_written_case_has_evidence_and_says_where_its_formats_come_from(case):
    assert case.truth.formats and case.truth.why.strip() and case.truth.origin == "written"
    assert any(member.size for member in case.members())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_truth_does_not_contradict_itself(case):
    truth = case.truth
    assert not truth.classes() & set(truth.must_not_blame.classes)
    assert not {r for ranks in truth.ranks() for r in ranks} & set(truth.must_not_blame.ranks)

"""The written cases: right by class and by ranks, whatever is taken away or spoilt.

A case is a folder `written/<name>/`: the files as somebody would post them, and `truth.toml`. Those in
`open.toml` are not right yet; one that has become right must leave it.
"""

import io
import random
import tomllib

import msgspec
import pytest

from diagnose import coverage, pipeline
from diagnose.model import Member
from tests.postmortem import open_cases
from tests.postmortem.scoring import (
    BOOK,
    CLASSES,
    GENERAL,
    NAMES,
    WRITTEN,
    WrittenTruth,
    classes_of,
    judged,
    score,
    verdict,
    written,
)

CASES = written()
OPEN = open_cases.load()


def cases(*, all_of_them=False):
    """Every case as a parameter; those still open are expected to fail, unless `all_of_them` must hold."""
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.xfail(reason=OPEN[case.name], strict=True)]
            if case.name in OPEN and not all_of_them
            else [],
        )
        for case in CASES
    ]


@pytest.mark.parametrize("case", cases())
def test_the_class_and_the_culprits_are_right(case):
    got = judged(case)
    assert open_cases.is_good(got), f"{got} {case.truth}"


def may_be_said(case, causes):
    """Whether no cause is of another class than the truth's, and no innocent rank is named."""
    culprits = {rank for ranks in case.truth.ranks() for rank in ranks}
    for cause in causes:
        assert not classes_of(cause.failure) or classes_of(cause.failure) & case.truth.classes(), (
            cause.failure
        )
        if culprits and classes_of(cause.failure):
            assert set(cause.ranks) <= culprits, (cause.failure, cause.ranks)


def is_blamed_wrongly(case):
    return case.name in OPEN and OPEN[case.name].startswith("wrong")


@pytest.mark.parametrize("case", cases(all_of_them=True))
def test_without_a_source_or_a_file_nothing_else_is_blamed(case):
    """Less evidence may say less, never something else."""
    if is_blamed_wrongly(case) or OPEN.get(case.name, "").startswith("right, ranks wrong"):
        pytest.skip("already wrong with all of it")
    seen = pipeline.parse(case.members())[0]
    for source in sorted({e.source for e in seen} - {"bundle"}):
        for part in coverage.by_attempt([e for e in seen if e.source != source]).values():
            may_be_said(case, pipeline.judge("bundle", part, BOOK).causes)
    files = list(case.members())
    for left_out in files if len(files) > 1 else []:
        may_be_said(case, verdict(case, [m for m in files if m is not left_out]).causes)


def shuffled(text, chance):
    lines = text.splitlines(keepends=True)
    chance.shuffle(lines)
    return b"".join(lines)


def cut(text, chance):
    return text[: chance.randrange(len(text) + 1)]


def spoilt(text, chance):
    """Some bytes replaced by any others."""
    found = bytearray(text)
    for _ in range(max(1, len(found) // 20)):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def repeated(text, chance):
    """Parts of the file again, at other places: a log that was pasted together."""
    at, to = chance.randrange(len(text)), chance.randrange(len(text))
    return text[to:] + text[:at] + text[min(at, to) :]


@pytest.mark.parametrize("damage", [shuffled, cut, spoilt, repeated])
@pytest.mark.parametrize("case", cases(all_of_them=True))
def test_damaged_files_raise_nothing(case, damage):
    chance = random.Random(f"{case.name} {damage.__name__}")
    damaged = []
    for member in case.members():
        text = damage(member.read(1 << 20), chance)
        damaged.append(Member(member.where, len(text), lambda text=text: io.BytesIO(text)))
    told = verdict(case, damaged)
    assert msgspec.json.encode(told)
    assert all(0 <= rank < 1 << 24 for cause in told.causes for rank in cause.ranks)


def test_lines_cut_off_at_the_end_blame_nobody_else():
    """A log that ends early says less."""
    for case in CASES:
        if is_blamed_wrongly(case) or OPEN.get(case.name, "").startswith("right, ranks wrong"):
            continue
        files = list(case.members())
        for share in (0.3, 0.6):
            parts = []
            for member in files:
                lines = member.read(1 << 20).splitlines(keepends=True)
                text = b"".join(lines[: int(len(lines) * share)])
                parts.append(Member(member.where, len(text), lambda text=text: io.BytesIO(text)))
            got = score(verdict(case, parts), case.truth)
            assert got.outcome != "wrong" or case.name in CUT_SAYS_ELSE, (case.name, share, got)


CUT_SAYS_ELSE: set[str] = set()  # cases whose first lines alone do speak for another class


def test_every_class_has_written_cases():
    assert {case.truth.class_ for case in CASES} == set(NAMES)


def test_every_root_failure_belongs_to_a_class():
    roots = [name for name, failure in BOOK.failures.items() if failure.role == "root"]
    assert [name for name in roots if name not in GENERAL and not classes_of(name)] == []
    assert set(CLASSES["failures"]).isdisjoint(GENERAL)


def test_open_cases_exist():
    assert set(OPEN) <= {case.name for case in CASES}


@pytest.mark.parametrize("case", cases(all_of_them=True))
def test_a_written_case_says_where_it_comes_from(case):
    told = msgspec.convert(tomllib.loads((WRITTEN / case.name / "truth.toml").read_text()), WrittenTruth)
    assert told.formats and told.why and told.origin == "written"
    assert any(case.members())

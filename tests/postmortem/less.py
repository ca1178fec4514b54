"""The same case with less evidence: without a source, without a file, or with the files' ends cut off.

Less evidence may say less, or what the true failure explains; never something else.
"""

import io
from collections.abc import Iterator

from diagnose import judge, pipeline
from diagnose.model import Member
from diagnose.verdict import Verdict
from tests.postmortem.scoring import BOOK, GENERAL, Case, classes_of, said, verdict

MAX_BYTES = 1 << 20
SHARES = (0.3, 0.6, 0.9)  # of the lines of every file that are left


def of_text(where: str, text: bytes) -> Member:
    return Member(where, len(text), lambda: io.BytesIO(text))


def cut(member: Member, share: float) -> Member:
    lines = member.read(MAX_BYTES).splitlines(keepends=True)
    return of_text(member.where, b"".join(lines[: int(len(lines) * share)]))


def verdicts(case: Case) -> Iterator[tuple[str, Verdict]]:
    """(what was taken away, what is said then)."""
    seen = pipeline.parse(case.members())[0]
    for source in sorted({e.source for e in seen} - {"bundle"}):
        for part in pipeline.parted([e for e in seen if e.source != source]).values():
            yield f"without {source}", pipeline.judge("bundle", part, BOOK)
    files = list(case.members())
    for left_out in files if len(files) > 1 else []:
        yield f"without {left_out.where}", verdict(case, [m for m in files if m is not left_out])
    for share in SHARES:
        yield f"{share:.0%} of the lines", verdict(case, [cut(m, share) for m in files])


def chain(case: Case) -> set[str]:
    """The failures of the truth's classes, and all that they explain."""
    fits = {name for name in BOOK.failures if classes_of(name) & case.truth.classes()}
    return fits.union(*(judge.effects(name, BOOK) for name in fits))


def something_else(case: Case) -> str:
    """The first thing said with less evidence that the truth does not bear out; "" for none."""
    culprits = {rank for ranks in case.truth.ranks() for rank in ranks}
    innocent = set(case.truth.must_not_blame.ranks)
    fits = chain(case) | GENERAL
    for what, told in verdicts(case):
        named = {rank for cause in told.causes for rank in cause.ranks}
        is_strange = any(classes_of(c.failure) and c.failure not in fits for c in told.causes)
        if is_strange or named & innocent or (culprits and named - culprits):
            return f"{what}: {said(told)}"
    return ""

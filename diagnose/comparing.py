"""Two run records held against each other: comparable at all, what differs, what it did to the figures."""

import shlex
from collections.abc import Iterator

import msgspec

from diagnose import flags, lanes, playbook
from diagnose.comparison import Comparison, Difference, Side, Untold
from diagnose.contract import RECORD, RunRecord
from diagnose.differing import Field, Pair, apart, is_hidden, is_part, is_same, pairs
from diagnose.lanes import Lane
from diagnose.measuring import Metric, figures
from diagnose.model import Record

EVERY = ".*"
NOT_LOADED = "not loaded"
TOLD_ELSEWHERE = {"torch", "triton", "gpu_diagnose"}  # of what is installed


class Ignored(Record, frozen=True):
    paths: list[str]
    why: str


class Book(Record, frozen=True):
    """`playbooks/compare.toml`."""

    field: list[Field]
    metric: list[Metric]
    ignored: list[Ignored]


def load() -> Book:
    """Raises PlaybookError."""
    return playbook.read(playbook.root() / "compare.toml", Book)


def compare(
    before: RunRecord,
    after: RunRecord,
    book: Book,
    lane: Lane | None = None,
    where: tuple[str, str] = ("", ""),
) -> Comparison:
    """A and B; `lane`: whose contract both owe, `where`: how their places are named."""
    lane = lane or lanes.lane("")
    a, b = side(before, lane, where[0]), side(after, lane, where[1])
    reasons, doubts = kinship(before, after)
    differences, unknown, not_told = provenance(before, after, book)
    barred = [one.title for one in book.field for d in differences if one.bars_metrics and d.path == one.path]
    not_measured = [
        f"{name} is no receipt: {'; '.join(s.lacks)}" for name, s in (("A", a), ("B", b)) if s.lacks
    ]
    not_measured += [f"not the same: {', '.join(barred)}"] if barred else []
    measurable = not reasons and not not_measured
    return Comparison(
        a=a,
        b=b,
        comparable=not reasons,
        reasons=reasons,
        doubts=doubts,
        differences=differences,
        unknown=unknown,
        not_told=not_told,
        measurable=measurable,
        not_measured=not_measured,
        figures=list(figures(book.metric, plainly(before, after))) if measurable else [],
    )


def side(record: RunRecord, lane: Lane, where: str) -> Side:
    lacks = lanes.short(record, lane)
    how = f"signal {record.signal}" if record.signal else f"exit code {record.exit_code}"
    ended = record.exit_path if record.exit_code is None and record.signal is None else how
    return Side(record.run, where, record.lane, ended, not lacks, lacks)


def words(record: RunRecord) -> list[str]:
    if record.arguments:
        return record.arguments
    try:
        return shlex.split(record.command)
    except ValueError:
        return record.command.split()


def kinship(before: RunRecord, after: RunRecord) -> tuple[list[str], list[str]]:
    """Why the two are not comparable, and what keeps one from being sure that they are."""
    reasons, doubts = list[str](), list[str]()
    for name, record in (("A", before), ("B", after)):
        if record.schema != RECORD:
            reasons.append(f"{name} is written as {record.schema}, and {RECORD} is what is understood here")
    told = (
        ("lane", before.lane, after.lane),
        ("surface", before.surface, after.surface),
        ("program", flags.program(words(before)), flags.program(words(after))),
    )
    for what, was, now in told:
        if was and now and was != now:
            reasons.append(f"another {what}: {was} and {now}")
        elif (was or now) and not (was and now):
            doubts.append(f"the {what} of {'B' if was else 'A'} is not told ({was or now} of the other)")
    return reasons, doubts


def provenance(
    before: RunRecord, after: RunRecord, book: Book
) -> tuple[list[Difference], list[Untold], list[str]]:
    """What differs, what cannot be compared, and what neither record tells; each in the playbook's order."""
    found: list[tuple[int, int, Difference]] = []
    unknown: list[tuple[int, Untold]] = []
    not_told: list[str] = []
    for rank, field, pair in told_pairs(before, after, book):
        was, now = pair.before, pair.after
        if was is None and now is None:
            not_told.append(pair.path)
        elif was is None or now is None:
            side = "a" if was is None else "b"
            unknown.append((rank, untold(field, pair, side)))
        elif field.grows and (side := early(pair, before, after)):
            unknown.append((rank, untold(field, pair, side, is_early=True)))
        elif is_same(field, was, now):
            if is_hidden(was) or was in field.opaque:
                unknown.append((rank, hides(field, pair)))
        else:
            difference = Difference(
                path=pair.path,
                title=name(field, pair),
                before=was,
                after=now,
                why=field.why,
                can_cause=field.can_cause,
                how=field.how,
                apart=apart(was, now) if field.how == "version" else "",
                minor=field.is_minor,
                is_drift=field.is_drift,
            )
            found.append((rank, -pair.weight, difference))
    found.sort(key=lambda row: row[:2])
    return [row[2] for row in found], [row[1] for row in sorted(unknown, key=lambda row: row[0])], not_told


def early(pair: Pair, before: RunRecord, after: RunRecord) -> str:
    """Which side may only not have come so far; empty for none."""
    if not before.steps.num and is_part(pair.before, pair.after):
        return "a"
    return "b" if not after.steps.num and is_part(pair.after, pair.before) else ""


def untold(field: Field, pair: Pair, missing: str, is_early: bool = False) -> Untold:
    told = pair.after if missing == "a" else pair.before
    return Untold(pair.path, name(field, pair), field.why, missing, told, field.how, is_early)


def told_pairs(before: RunRecord, after: RunRecord, book: Book) -> Iterator[tuple[int, Field, Pair]]:
    """(place in the playbook, field, pair); fields that take what is left pick last."""
    taken: set[str] = set()
    one, other = plainly(before, after)
    for rank, field in sorted(enumerate(book.field), key=lambda pair: pair[1].names == EVERY):
        for pair in pairs(field, one, other, taken):
            yield rank, field, pair


def plainly(before: RunRecord, after: RunRecord) -> list[dict[str, object]]:
    """As plain data: the command's words, variables as ranks had them, uncommitted code by its digest."""
    has_digests = all(one.git.digest or not one.git.dirty for one in (before, after))
    has_digests &= (before.git.dirty is None) == (after.git.dirty is None)
    found = []
    for record, other in ((before, after), (after, before)):
        plain = msgspec.to_builtins(record)
        code = {"dirty": record.git.digest or record.git.dirty} if has_digests else {}
        plain |= {"arguments": words(record), "variables": variables(record, other)}
        twice = {*TOLD_ELSEWHERE, *before.packages, *after.packages}
        plain["packages"] = packages(record, other)
        plain["installed"] = {n: v for n, v in record.installed.items() if n not in twice}
        found.append(plain | {"git": {**plain["git"], **code}})
    return found


def packages(record: RunRecord, other: RunRecord) -> dict[str, str]:
    """Ranks that did a step have said what is loaded: what they do not name is not (an import failed)."""
    is_told = bool(record.steps.num) and record.rank_variables is not None
    return {**(dict.fromkeys(other.packages, NOT_LOADED) if is_told else {}), **record.packages}


def variables(record: RunRecord, other: RunRecord) -> dict[str, str | None]:
    """None for one that only the other's ranks tell, where those of this record had not come so far."""
    mine, theirs = record.rank_variables, other.rank_variables or {}
    found: dict[str, str | None] = {**record.variables, **(mine or {})}
    if found and (mine is None or not record.steps.num):
        found |= {name: None for name in theirs.keys() - found.keys()}
    return found


def hides(field: Field, pair: Pair) -> Untold:
    if is_hidden(pair.before):
        return Untold(pair.path, name(field, pair), "a secret: not kept, so not compared", "both", None)
    return Untold(pair.path, name(field, pair), field.why, "hidden", pair.before, field.how)


def name(field: Field, pair: Pair) -> str:
    """`variable NCCL_DEBUG`, `flag --lr`, `torch`."""
    entry = pair.path.removeprefix(f"{field.path}.") if field.names else ""
    if entry == "words" and field.how == "flags":
        return "the command's words"
    is_own = field.path in ("versions", "host") and not field.is_minor and field.names == entry
    return field.title if not entry or is_own else f"{field.title} {entry}"


def same_kind(before: RunRecord, after: RunRecord) -> bool:
    return not kinship(before, after)[0]

"""Transfers that both sides have launched, and that do not end. Pure."""

from collections.abc import Iterator, Sequence

from diagnose.circles import holds_up
from diagnose.heads import Head
from diagnose.waiting import Member, Waiting

Met = tuple[Waiting, Member]  # one side's wait, and the other side


def met(waits: Sequence[Waiting]) -> Iterator[Met]:
    """Each transfer that is next on both sides, once; not of ranks that lack somebody in what else is next."""
    heads = {(rank, w.group.key, w.seq) for w in waits for rank in w.heads}
    lacking = {rank for w in waits if lacks(w, heads) for rank in w.heads}
    for w in waits:
        other = partner(w) if w.group.is_pair and w.heads and w.op() == "send" else None
        if other is not None and lacking.isdisjoint((w.waiting[0].rank, other.rank)):
            yield w, other


def lacks(w: Waiting, heads: set[Head]) -> bool:
    """Whether somebody has not launched an operation, or has something older open."""
    if w.group.is_pair:
        other = partner(w)
        return other is None or holds_up(other, w, heads)
    return bool(w.awaited) or len(w.heads) < len(w.waiting) or not w.is_all_there()


def partner(w: Waiting) -> Member | None:
    """The other side of a transfer, if it has launched that too and not completed it."""
    return next(
        (m for m in w.group.members if m not in w.waiting and m.launched >= w.seq > m.completed), None
    )


def sides(w: Waiting, other: Member) -> dict[str, list[Member]]:
    """What the two sides of a transfer move: element counts and dtype -> who."""
    found: dict[str, list[Member]] = {}
    for member in (*w.waiting, other):
        call = member.signature(w.seq) or next((str(row[1]) for row in member.rows()), "")
        found.setdefault(call.partition("|")[2], []).append(member)
    return found

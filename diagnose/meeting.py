"""Transfers that both sides have launched, and that do not end. Pure."""

from collections.abc import Iterator, Sequence

from diagnose.circles import holds_up
from diagnose.heads import Head
from diagnose.waiting import Member, Waiting

Met = tuple[Waiting, Member]  # one side's wait, and the other side


def met(waits: Sequence[Waiting]) -> Iterator[Met]:
    """Each transfer that is next on both sides, once; not where a side lacks somebody in another of these.

    A block waits for all of its transfers, and those of one group may share a stream.
    """
    heads = {(rank, w.group.key, w.seq) for w in waits for rank in w.heads}
    pairs = [(w, partner(w)) for w in waits if w.group.is_pair and w.heads]
    lacking = {(w.waiting[0].rank, w.group.key) for w, other in pairs if not is_there(other, w, heads)}
    for w, other in pairs:
        if other is not None and w.op() == "send":
            ends = {(rank, w.group.key) for rank in (w.waiting[0].rank, other.rank)}
            if lacking.isdisjoint(ends):
                yield w, other


def is_there(other: Member | None, w: Waiting, heads: set[Head]) -> bool:
    """Whether the other side of a transfer has launched it, and nothing older of its own holds it up."""
    return other is not None and not holds_up(other, w, heads)


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

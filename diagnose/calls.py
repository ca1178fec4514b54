"""Calls that differ at one place of a group's sequence: where first, and who is in the minority. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from math import prod

from diagnose.waiting import Key, Member, Waiting

WIDTHS = {"Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Byte": 1, "Bool": 1}
ASPECTS = ("op", "size", "dtype")
Sides = Mapping[str, Sequence[Member]]  # signature -> who called it


def first_of_each(waits: Sequence[Waiting]) -> Iterable[Waiting]:
    """The waits of each group up to the first where calls differ: what follows is its consequence."""
    seen: set[Key] = set()
    for w in sorted(waits, key=lambda w: w.seq):
        if w.group.key not in seen and w.seq:
            yield w
            if len(w.calls()) > 1 or roots(w):
                seen.add(w.group.key)


def queued(waits: Sequence[Waiting]) -> Iterable[Waiting]:
    """Where calls differ that were launched and not reached yet: the first of each group.

    What the members wait in has another cause; this one would be the next.
    """
    told: dict[Key, dict[int, set[str]]] = {}
    groups: dict[Key, Waiting] = {}
    for w in waits:
        if w.seq and not w.group.is_pair and not (len(w.calls()) > 1 or roots(w)):
            groups.setdefault(w.group.key, w)
            later = told.setdefault(w.group.key, {})
            for row in (row for member in w.waiting for row in member.rows()):
                if isinstance(row[0], int) and row[0] > w.seq and len(row) > 1:
                    later.setdefault(row[0], set()).add(str(row[1]))
    seen = {w.group.key for w in waits if len(w.calls()) > 1 or roots(w)}
    for key, later in told.items():
        seq = min((seq for seq, calls in later.items() if len(calls) > 1), default=0)
        if seq and key not in seen:
            members = groups[key].group.members
            waiting = [m for m in members if m.launched >= seq > m.completed and not m.moved]
            w = Waiting(groups[key].group, seq, waiting, [m for m in members if m.launched < seq], [])
            if not w.awaited or odd(w.calls())[1]:
                yield w


def differing(waits: Sequence[Waiting]) -> Iterable[Member]:
    """Whoever made another call than most at the first place where a group's calls differ."""
    for w in first_of_each(waits):
        calls = w.calls()
        if len(calls) > 1:
            yield from (m for s in odd(calls)[0] for m in calls[s])


def odd(calls: Sides, unseen: int = 0) -> tuple[list[str], bool]:
    """The signatures that a strict majority does not share, and True; without one all, and False.

    `unseen` ranks left no dump: a message larger than their room ended them, so theirs is not the largest
    call. Where one other remains, they made that.
    """
    votes = {signature: len(who) for signature, who in calls.items()}
    sizes = {signature: num_bytes(signature) for signature in calls}
    known = [size for size in sizes.values() if size is not None]
    smaller = [s for s, size in sizes.items() if size is not None and size < max(known)]
    if len(known) == len(calls) and len(smaller) == 1:
        votes[smaller[0]] += unseen
    usual = max(votes, key=lambda signature: votes[signature])
    majority = 2 * votes[usual] > sum(votes.values())
    return [s for s in calls if s != usual or not majority], majority


def num_bytes(signature: str) -> int | None:
    """The bytes of what one rank gives; None where a dtype is not known.

    >>> num_bytes("all_reduce|[[8,4]]|Double"), num_bytes("barrier||")
    (256, None)
    """
    _, sizes, dtypes = [*signature.split("|"), "", ""][:3]
    width = WIDTHS.get(dtypes.partition(",")[0])
    shapes = re.findall(r"\[([\d,]*)\]", sizes)
    if width is None or not shapes:
        return None
    return width * sum(prod(int(n) for n in shape.split(",") if n) for shape in shapes)


def aspect(calls: Iterable[str]) -> str:
    """The first thing in which signatures differ.

    >>> aspect(["all_reduce|[[8]]|Float", "all_reduce|[[8]]|Double"])
    'dtype'
    """
    parts = [[*signature.split("|"), "", ""][:3] for signature in calls]
    return next((name for i, name in enumerate(ASPECTS) if len({p[i] for p in parts}) > 1), "op")


def roots(w: Waiting) -> list[Member]:
    """The members that take themselves for the root of one gather or scatter, where they are several."""
    claims = [m for m in w.group.members if m.is_root(w.seq)]
    return claims if len(claims) > 1 else []

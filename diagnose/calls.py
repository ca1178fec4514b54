"""Calls that differ at one place of a group's sequence: where first, and who is in the minority. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from diagnose.waitgraph import Member, Waiting

ASPECTS = ("op", "size", "dtype")
Sides = Mapping[str, Sequence[Member]]  # signature -> who called it


def first_of_each(waits: Sequence[Waiting]) -> Iterable[Waiting]:
    """The waits of each group up to the first where calls differ: what follows is its consequence."""
    seen: set[str] = set()
    for w in sorted(waits, key=lambda w: w.seq):
        if w.group.name not in seen and w.seq:
            yield w
            if len(w.calls()) > 1 or roots(w):
                seen.add(w.group.name)


def odd(calls: Sides) -> tuple[list[str], bool]:
    """The signatures that a strict majority does not share, and True; without one all, and False."""
    usual = max(calls, key=lambda s: len(calls[s]))
    majority = 2 * len(calls[usual]) > sum(map(len, calls.values()))
    return [s for s in calls if s != usual or not majority], majority


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

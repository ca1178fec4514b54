"""Ranks that left no dump, and of which the others' waits do not tell that they are to blame. Pure.

Where a rank that was heard lacks too, one without a dump may as well wait among the others. Where it lacks
alone, it has not come so far: it is blamed, unless it may have been held up before. All ranks run much
the same program: what its peer launched earlier than the collective that it lacks in, and what is held
up by somebody else, holds it up as well.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from diagnose import histories
from diagnose.waiting import Group, Member, Waiting

Peers = Mapping[tuple[int, str], list[tuple[Group, Member]]]  # (rank, description) -> its groups of that kind


def excused(waits: Sequence[Waiting], groups: Iterable[Group]) -> set[int]:
    """Ranks without a dump that nothing shows to be at fault."""
    silent = {m.rank for w in waits for m in w.awaited if m.launched < 0}
    if not silent:
        return set()
    led = held(waits, silent)
    found = [*groups]
    peers = by_kind(found)
    shared = defaultdict[int, list[Waiting]](list)  # silent rank -> waits of its groups with another cause
    for w in waits:
        if is_led(w, silent, led):
            for member in w.group.members:
                if member.rank in silent:
                    shared[member.rank].append(w)
    lines = neighbours(found, silent, led | roots(waits, silent))
    blamed = set[int]()
    for w in sorted(waits, key=lambda w: len(w.awaited)):
        lacking = {m.rank for m in w.awaited}
        if not w.behind and lacking <= silent and lacking.isdisjoint(blamed):
            blamed |= {
                rank
                for rank in lacking - lines
                if not any(comes_first(other, w, peers) for other in shared[rank])
            }
    return silent - blamed


def roots(waits: Sequence[Waiting], silent: set[int]) -> set[int]:
    """Heard ranks that others wait for, and that wait for nobody; those behind, and in calls that differ."""
    waiting = {rank for w in waits for rank in w.heads}
    awaited = {m.rank for w in waits for m in w.awaited if not m.moved}
    behind = {m.rank for w in waits for m in w.behind}
    odd = {m.rank for w in waits if len(w.calls()) > 1 for m in w.waiting}
    return (awaited - waiting - silent) | behind | odd


def held(waits: Sequence[Waiting], silent: set[int]) -> set[int]:
    """Ranks that are held up by a heard one, over any number of others."""
    waiters = defaultdict[int, set[int]](set)  # who waits for a rank
    for w in waits:
        for member in w.awaited:
            if member.rank not in silent:
                waiters[member.rank] |= w.heads
    found, todo = set[int](), [*roots(waits, silent)]
    while todo:
        for rank in waiters[todo.pop()] - found:
            found.add(rank)
            todo.append(rank)
    return found


def is_led(w: Waiting, silent: set[int], led: set[int]) -> bool:
    """Whether somebody who was heard accounts for a wait."""
    if w.behind or len(w.calls()) > 1:
        return True
    return any(m.rank not in silent for m in w.awaited) and bool(w.heads & led)


def by_kind(groups: Iterable[Group]) -> Peers:
    found = defaultdict[tuple[int, str], list[tuple[Group, Member]]](list)
    for group in groups:
        for member in group.members:
            found[member.rank, group.desc].append((group, member))
    return found


def neighbours(groups: Iterable[Group], silent: set[int], led: set[int]) -> set[int]:
    """Silent ranks in a group with transfers, where another is held up by somebody who was heard."""
    return {
        member.rank
        for group in groups
        if any(m.event and m.event.data.get("transfers") for m in group.members)
        and any(m.rank in led for m in group.members)
        for member in group.members
        if member.rank in silent
    }


def comes_first(other: Waiting, w: Waiting, peers: Peers) -> bool:
    """Whether `other` is launched before `w`, in the program of one that waits in `w`."""
    if other.group.key == w.group.key:
        return other.seq < w.seq
    peer = w.waiting[0]
    own = created(peer, w.seq)
    mine = peers.get((peer.rank, other.group.desc), [])
    if len(mine) != 1:
        return True  # which of its groups matches, nothing tells
    _, member = mine[0]
    at = created(member, other.seq)
    return member.launched >= other.seq if math.isinf(at) else at < own


def created(member: Member, seq: int) -> float:
    """When a rank launched a collective; infinite where that is not recorded."""
    if member.event is None:
        return math.inf
    return next((time for n, time in histories.launches(member.event) if n == seq), math.inf)

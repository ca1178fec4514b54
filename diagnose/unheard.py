"""Ranks that left no dump, and of which the others' waits do not tell that they are to blame. Pure.

Where a rank that was heard lacks too, one without a dump may as well wait among the others. Where it lacks
alone, it has not come so far: it is blamed, unless it may have been held up before. All ranks run much the
same program: what its peer launched earlier than the collective that it lacks in, and what is held up by
somebody else, holds it up as well.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from diagnose import histories
from diagnose.waiting import Group, Member, Waiting, ranks

Groups = Mapping[tuple[int | None, str], list[Group]]  # of one rank, or of all, by what they are for
Counts = Mapping[tuple[str, int, int], int]  # ("send" | "recv", source, target inside the group) -> launched
MEETS = {"send": "recv", "recv": "send"}


def excused(waits: Sequence[Waiting], groups: Iterable[Group]) -> set[int]:
    """Ranks without a dump that nothing shows to be at fault."""
    silent = {m.rank for w in waits for m in w.awaited if m.launched < 0}
    if not silent:
        return set()
    stuck = held(waits, silent)
    kinds = by_kind(groups)
    others = defaultdict[int, list[Waiting]](list)  # silent rank -> waits of its groups with another cause
    for w in waits:
        for rank in silent.intersection(ranks(w.group.members)) if is_accounted(w, stuck) else ():
            others[rank].append(w)
    blamed = set[int]()
    for w in sorted(waits, key=lambda w: len(w.awaited)):
        lacking = set(ranks(w.awaited))
        if lacking <= silent and lacking.isdisjoint(blamed) and not is_accounted(w, stuck):
            blamed |= {rank for rank in lacking if not is_held(rank, w, others[rank], stuck, kinds)}
    return silent - blamed


def held(waits: Sequence[Waiting], silent: set[int]) -> set[int]:
    """Ranks that were heard and are at fault, or are held up by such a one over any number of others."""
    waiting = {rank for w in waits for rank in w.heads}
    waiters = defaultdict[int, set[int]](set)  # who waits for a rank
    found = set[int]()
    for w in waits:
        found.update(ranks(w.behind))
        if len(w.calls()) > 1:
            found.update(ranks(w.waiting))
        found.update(m.rank for m in w.awaited if m.rank not in waiting | silent and not m.moved)
        for rank in holders(w):
            waiters[rank] |= w.heads
    todo = [*found]
    while todo:
        new = waiters[todo.pop()] - found
        found |= new
        todo += new
    return found


def holders(w: Waiting) -> Iterator[int]:
    """Who has not begun what others wait in: some have not launched it, some have something older open."""
    yield from ranks(w.awaited)
    yield from (m.rank for m in w.waiting if m.rank not in w.heads)


def is_accounted(w: Waiting, stuck: set[int]) -> bool:
    """Whether somebody who was heard accounts for a wait."""
    return bool(w.behind) or len(w.calls()) > 1 or not stuck.isdisjoint(holders(w))


def by_kind(groups: Iterable[Group]) -> Groups:
    found = defaultdict[tuple[int | None, str], list[Group]](list)
    for group in groups:
        for rank in (None, *ranks(group.members)):
            found[rank, group.desc].append(group)
    return found


def is_held(rank: int, w: Waiting, others: Iterable[Waiting], stuck: set[int], kinds: Groups) -> bool:
    """Whether a rank may not have come to `w` because of somebody else."""
    if any(comes_first(other, w, kinds) for other in others):
        return True
    descs = {desc for one, desc in kinds if one is None}
    mine = [group for desc in descs for group in kinds.get((rank, desc), ())]
    return any(is_unfed(rank, group, w, stuck, kinds) for group in mine)


def comes_first(other: Waiting, w: Waiting, kinds: Groups) -> bool:
    """Whether `other` is launched before `w`, in the program of one that waits in `w`."""
    if other.group.key == w.group.key:
        return other.seq < w.seq
    peer = w.waiting[0]
    found = kinds.get((peer.rank, other.group.desc), [])
    if len(found) != 1:
        return True  # which of its groups matches, nothing tells
    member = next(m for m in found[0].members if m.rank == peer.rank)
    at = created(member, other.seq)
    return member.launched >= other.seq if math.isinf(at) else at < created(peer, w.seq)


def created(member: Member, seq: int) -> float:
    """When a rank launched a collective; infinite where that is not recorded."""
    told = histories.launches(member.event) if member.event else ()
    return next((time for n, time in told if n == seq), math.inf)


def is_unfed(rank: int, group: Group, w: Waiting, stuck: set[int], kinds: Groups) -> bool:
    """Whether a neighbour of a pipeline, itself held up, owes a rank a transfer that its peers had."""
    place = ranks(group.members).index(rank)
    feeders = [m for m in group.members if m.rank in stuck]
    owed = {
        (MEETS[op], source, target): launched
        for m in feeders
        for (op, source, target), launched in transfers(m).items()
        if op in MEETS and place == (target if op == "send" else source)
    }
    if not owed:
        return False
    alike = [one for one in kinds[None, group.desc] if len(one.members) == len(group.members)]
    near = set(ranks(w.waiting)) - {rank}
    twins = [m for one in alike if one is not group and (m := one.members[place]).event]
    counts = [transfers(m) for m in twins if m.rank in near] or [transfers(m) for m in twins]
    if counts:
        return any(one.get(pair, 0) > num for one in counts for pair, num in owed.items())
    peers = [transfers(m) for one in alike for m in one.members if m.rank in near]
    most = [(op, num) for one in peers for (op, _, _), num in one.items()]
    return not most or any(op == pair[0] and n > num for op, n in most for pair, num in owed.items())


def transfers(member: Member) -> Counts:
    told = member.event.data.get("transfers") if member.event else None
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    return {
        (str(row.get("op")), row.get("src", -1), row.get("dst", -1)): row.get("launched", 0) for row in rows
    }

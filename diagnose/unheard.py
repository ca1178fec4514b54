"""Ranks that left no dump, and of which the others' waits do not tell that they are to blame. Pure.

Where a rank that was heard lacks too, one without a dump may as well wait among the others. Where it lacks
alone, it has not come so far: it is blamed, unless somebody else may have held it up before. All ranks run
much the same program: what its peer launched before the collective that it lacks in, it had to launch too,
and what keeps the rank in its place of another such group may keep it as well.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from diagnose import histories
from diagnose.circles import circles, holds_up, waiters
from diagnose.reaching import joint
from diagnose.waiting import Group, Key, Member, Waiting, ranks

MEETS = {"send": "recv", "recv": "send"}
MAX_PEERS = 64
Head = tuple[int, Key, int]  # a rank, a group and the number of its oldest open operation
Launch = tuple[Member, float]  # a rank that runs the same program, and when it launched an operation
Counts = Mapping[tuple[str, int, int], int]  # ("send" | "recv", source, target inside the group) -> launched


class Known(NamedTuple):
    """What is known of those who were heard, and of the groups of each rank and of each kind."""

    of_rank: Mapping[int, list[Group]]
    of_kind: Mapping[str, list[Group]]
    stuck: set[int]  # at fault, or held up by such a one
    free: set[int]  # of those, who waits for nobody
    waits: Sequence[Waiting]
    heads: set[Head]
    size: int  # of the largest group


def excused(waits: Sequence[Waiting], groups: Collection[Group]) -> set[int]:
    """Ranks without a dump that nothing shows to be at fault."""
    silent = {m.rank for w in waits for m in w.awaited if m.launched < 0}
    if not silent:
        return set()
    heads, stuck = heads_of(waits), held(waits, silent)
    free = stuck - {rank for rank, *_ in heads}
    size = max((len(group.members) for group in groups), default=0)
    known = Known(defaultdict(list), defaultdict(list), stuck, free, waits, heads, size)
    for group in groups:
        known.of_kind[group.desc].append(group)
        for member in group.members:
            known.of_rank[member.rank].append(group)
    blamed = set[int]()
    for w in sorted(waits, key=lambda w: len(w.awaited)):
        lacking = set(ranks(w.awaited))
        if not lacking <= silent or not lacking.isdisjoint(blamed) or is_accounted(w, heads, known.stuck):
            continue
        if not any(is_held(rank, w, known) or has_passed(rank, w, known) for rank in lacking):
            blamed |= lacking
    return silent - blamed


def held(waits: Sequence[Waiting], silent: set[int]) -> set[int]:
    """Ranks that were heard and are at fault, or are held up by such a one over any number of others."""
    waiting = {rank for w in waits for rank in w.heads}
    found = set[int]().union(*circles(waits))
    for w in waits:
        found.update(ranks(w.behind))
        if len(w.calls()) > 1 or (w.is_all_there() and len(w.heads) == len(w.waiting)):
            found.update(ranks(w.waiting))
        found.update(m.rank for m in w.awaited if m.rank not in waiting | silent and not m.moved)
    return found | waiters(waits, found)


def heads_of(waits: Iterable[Waiting]) -> set[Head]:
    return {(rank, w.group.key, w.seq) for w in waits for rank in w.heads}


def holders(w: Waiting, heads: set[Head], stuck: set[int]) -> Iterator[int]:
    """Who has not begun what others wait in: some have not launched it, some have something older open."""
    for m in w.group.members:
        if w.group.is_pair:
            is_holder = holds_up(m, w, heads)
        elif w.group.in_order:
            is_told = m.known or m in w.awaited or m.rank in stuck
            is_holder = is_told and m.completed < w.seq and (m.rank, w.group.key, w.seq) not in heads
        else:
            is_holder = m.launched < w.seq
        if is_holder:
            yield m.rank


def is_accounted(w: Waiting, heads: set[Head], stuck: set[int]) -> bool:
    """Whether somebody who was heard accounts for a wait, or no device has come to it."""
    if not w.heads or w.behind or len(w.calls()) > 1:
        return True
    return not stuck.isdisjoint(holders(w, heads, stuck))


def is_held(rank: int, w: Waiting, known: Known) -> bool:
    """Whether a rank may not have come to `w` because of somebody else."""
    mine = known.of_rank[rank]
    keys = {group.key for group in mine}

    def nearness(member: Member) -> int:
        return sum(group.key in keys for group in known.of_rank[member.rank])

    twins = list(in_same_place(rank, w, known.waits))
    if any(is_explained(rank, other, twin, known) for other, twin in twins):
        return True
    peer = max(w.waiting[:MAX_PEERS], key=nearness)
    late = [(m, math.inf) for other, m in twins if m in other.awaited]
    alike = [*(in_its_place(rank, w, known) if w.group.is_pair else ()), *late]
    peers = alike if w.group.is_pair and alike else [(peer, created(peer, w.seq)), *alike]
    return any(
        is_unfed(rank, group, peer, known) or any(is_unmet(group, one, at, known) for one, at in peers)
        for group in mine
        if group.key != w.group.key
    )


def has_passed(rank: int, w: Waiting, known: Known) -> bool:
    """Whether others completed with a rank what a peer launched after `w`: then it launched that, too."""
    for group in known.of_rank[rank] if w.group.in_order else ():
        heard = [(m.completed, m.event) for m in group.members if m.event]
        most, ahead = max(heard, key=lambda one: one[0], default=(-1, None))
        done = joint([event for _, event in heard[:MAX_PEERS]], ahead, most) if ahead else -1
        for peer in w.waiting[:MAX_PEERS] if done > 0 and group.key != w.group.key else ():
            at = created(peer, w.seq)
            alike = [g for g in known.of_rank[peer.rank] if g.desc == group.desc and g.key != w.group.key]
            mine = [m.event for g in alike for m in g.members if m.rank == peer.rank and m.event]
            if any(at < time and n <= done for event in mine for n, time in histories.launches(event)):
                return True
    return False


def in_same_place(rank: int, w: Waiting, waits: Iterable[Waiting]) -> Iterator[tuple[Waiting, Member]]:
    """Ranks that were heard, in its place of another such group where others wait in the same operation."""
    place, op = ranks(w.group.members).index(rank), w.op()
    alike = (other for other in waits if (other.seq, other.group.desc) == (w.seq, w.group.desc))
    for other in alike:
        if other is not w and other.op() == op:
            twin = other.group.members[place : place + 1]
            yield from ((other, m) for m in twin if m.event)


def is_explained(rank: int, other: Waiting, twin: Member, known: Known) -> bool:
    """Whether what keeps a rank in its place may keep it, too.

    That one launched it, and is held up by something older; or lacks, waits for nobody, and is a member of a
    smaller group with this one.
    """
    if twin in other.awaited:
        own = {g.key for g in known.of_rank[rank] if len(g.members) < known.size}
        return twin.rank in known.free and any(g.key in own for g in known.of_rank[twin.rank])
    return twin.rank in known.stuck and twin.rank not in other.heads and twin.completed < other.seq


def in_its_place(rank: int, w: Waiting, known: Known) -> Iterator[Launch]:
    """Ranks in its place of another pipeline, with when they launched the transfer that this one owes."""
    side = w.waiting[0].event.data.get("side") if w.waiting[0].event else None
    own = next((one for one in known.of_rank[rank] if one.key == w.group.key[:-1]), None)
    if own is None or not isinstance(side, dict):
        return
    pair = MEETS.get(str(side.get("op")), ""), side.get("src", -1), side.get("dst", -1)
    num_done = side.get("launched", 0) - side.get("open", 0)
    place = ranks(own.members).index(rank)
    for group in known.of_kind[own.desc]:
        if group is not own and len(group.members) == len(own.members):
            member = group.members[place]
            for op, source, target, launched, _, times in sides(member):
                if (op, source, target) == pair:
                    at = times[num_done - launched] if -len(times) <= num_done - launched < 0 else math.inf
                    yield member, at if num_done < launched else math.inf


def is_unmet(group: Group, peer: Member, before: float, known: Known) -> bool:
    """Whether a member that is held up lacks what the peer, in such a group, launched before a time."""
    low = min((m.completed for m in group.members if m.rank in known.stuck and m.known), default=-1)
    alike = [one for one in known.of_rank[peer.rank] if one.desc == group.desc]
    mine = [m for one in alike for m in one.members if m.rank == peer.rank]
    times = [created(m, low + 1) for m in mine]
    return low >= 0 and any(
        m.launched > low if math.isinf(at) else at < before for m, at in zip(mine, times, strict=True)
    )


def created(member: Member, seq: int) -> float:
    """When a rank launched a collective; infinite where that is not recorded."""
    told = histories.launches(member.event) if member.event else ()
    return next((time for n, time in told if n == seq), math.inf)


def is_unfed(rank: int, group: Group, peer: Member, known: Known) -> bool:
    """Whether a neighbour of a pipeline, itself held up, owes a rank a transfer that its peers had."""
    place = ranks(group.members).index(rank)
    owed = {
        (MEETS[op], source, target): launched - num_open
        for m in group.members
        if m.rank in known.stuck
        for op, source, target, launched, num_open, _ in sides(m)
        if op in MEETS and place == (target if op == "send" else source)
    }
    if not owed:
        return False
    alike = [one for one in known.of_kind[group.desc] if len(one.members) == len(group.members)]
    twins = [m for one in alike if one is not group and (m := one.members[place]).event]
    near = [transfers(m) for m in twins if m.rank == peer.rank] or [transfers(m) for m in twins]
    if near:
        return any(one.get(pair, 0) > num for one in near for pair, num in owed.items())
    peers = [transfers(m) for one in alike for m in one.members if m.rank == peer.rank]
    most = [(op, num) for one in peers for (op, _, _), num in one.items()]
    return not most or any(op == pair[0] and n > num for op, n in most for pair, num in owed.items())


def transfers(member: Member) -> Counts:
    return {(op, source, target): launched for op, source, target, launched, *_ in sides(member)}


def sides(member: Member) -> Iterator[tuple[str, int, int, int, int, list[float]]]:
    """Of each pair: what the rank does, source, target, how many launched and open, when the newest."""
    told = member.event.data.get("transfers") if member.event else None
    for row in told if isinstance(told, list) else ():
        if isinstance(row, dict):
            times = [time or math.inf for time in row.get("created_s") or []]
            numbers = (row.get(key, 0) for key in ("src", "dst", "launched", "open"))
            yield str(row.get("op")), *numbers, times

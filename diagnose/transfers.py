"""Sends and receives that do not end: one side waits for the other. Pure.

The n-th send of a pair of ranks meets the n-th receive. Where a ring no longer holds the first ones, the open
ones are paired from the oldest.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from diagnose.communicators import Dumps
from diagnose.model import Event
from diagnose.waiting import Group, Member, Waiting

Pair = tuple[int, int]  # source and target


def transfers(found: Iterable[Group], dumps: Dumps) -> Iterator[Waiting]:
    """One Waiting for each open transfer that is the first of its pair on its side."""
    for group in found:
        if not any(m.event and has_open(m.event) for m in group.members):
            continue
        told = {m.rank: sides(m.rank, m.event) for m in group.members if m.event}
        for member in group.members:
            for pair, mine in told.get(member.rank, {}).items():
                if count(mine, "open") and not member.moved:
                    yield waiting(group, member, pair, mine, told, dumps)


def has_open(event: Event) -> bool:
    rows = event.data.get("transfers")
    return isinstance(rows, list) and any(isinstance(row, dict) and count(row, "open") for row in rows)


def sides(rank: int, event: Event) -> dict[Pair, Mapping[str, object]]:
    """One rank's side of each pair, by global ranks."""
    order, rows = event.data.get("ranks"), event.data.get("transfers")
    if not isinstance(order, list) or not isinstance(rows, list):
        return {}
    found: dict[Pair, Mapping[str, object]] = {}
    for row in rows:
        if not isinstance(row, dict):
            continue
        ends = count(row, "src"), count(row, "dst")
        if max(ends) < len(order):
            pair = (order[ends[0]], order[ends[1]])
            if rank == pair[row.get("op") != "send"]:
                found[pair] = row
    return found


def count(row: Mapping[str, object], key: str) -> int:
    value = row.get(key)
    return value if isinstance(value, int) else 0


def waiting(
    group: Group,
    member: Member,
    pair: Pair,
    mine: Mapping[str, object],
    told: Mapping[int, Mapping[Pair, Mapping[str, object]]],
    dumps: Dumps,
) -> Waiting:
    other = pair[0] if member.rank == pair[1] else pair[1]
    theirs = told.get(other, {}).get(pair, {})
    peer = next((m for m in group.members if m.rank == other), Member(other, -1, -1))
    seq = first_of(mine)
    own = at(member, mine, seq, seq - 1)
    done, theirs_done = (count(side, "launched") - count(side, "open") for side in (mine, theirs))
    if other not in dumps.heads:
        partner = msgspec.structs.replace(peer, launched=-1, completed=-1)
    elif dumps.has_all(member.rank) and dumps.has_all(other) and done < theirs_done:
        partner = at(peer, theirs, seq, seq)
    elif count(theirs, "open") and (done == theirs_done or not has_both(dumps, member.rank, other)):
        partner = at(peer, theirs, seq, seq - 1)
    else:
        partner = at(peer, theirs, seq - 1, seq - 1)
    pair_of = Group(
        group.name, group.desc, [own, partner], is_whole=False, key=(*group.key, "p2p"), in_order=True
    )
    return Waiting(pair_of, seq, [own], [partner] if partner.launched < seq else [], [])


def has_both(dumps: Dumps, *ranks: int) -> bool:
    return all(map(dumps.has_all, ranks))


def first_of(side: Mapping[str, object]) -> int:
    first = side.get("first")
    return first[0] if isinstance(first, list) and first and isinstance(first[0], int) else 0


def at(member: Member, side: Mapping[str, object], launched: int, completed: int) -> Member:
    """The member, with its side's first open transfer in place of its collectives."""
    event = member.event
    if event is not None:
        rows = [first] if isinstance(first := side.get("first"), list) else []
        told = {key: event.data.get(key) for key in ("ranks", "desc")}
        event = msgspec.structs.replace(event, data={**told, "entries": rows, "side": dict(side)})
    return Member(member.rank, launched, completed, member.moved, event)

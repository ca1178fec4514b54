"""Of what each rank has open, what is next: its heads. Pure.

What a rank launches first is first to end, whatever the group (NCCL's streams). But nobody waits for a send
before it goes on: that holds up only what follows between the same two ranks. The transfers of one coalesced
block are launched as one. Gloo has threads for each: there all that is open is next.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from diagnose.waiting import Key, Member, Waiting, ranks

Place = tuple[Key, int]  # a group and the number of an operation
Head = tuple[int, Key, int]  # a rank, and the place of one of its heads
Channel = tuple[Key, frozenset[int]]  # what runs between some ranks of a group


@dataclass
class Open:
    """One operation that a rank has open; `is_send`: nothing but sends."""

    created: float
    channels: set[Channel] = field(default_factory=set)
    is_send: bool = True


def heads(waits: Sequence[Waiting], unknown: Container[int] = ()) -> set[Head]:
    """What is next for each rank; nothing for those of which it is `unknown`."""
    found: set[Head] = set()
    opened: dict[int, dict[Place, Open]] = {}
    for w in waits:
        place, channel = (w.group.key, w.seq), (w.group.key, frozenset(ranks(w.group.members)))
        for member in (m for m in w.waiting if m.rank not in unknown):
            if not w.group.in_order:
                found.add((member.rank, *place))
                continue
            mine = opened.setdefault(member.rank, {})
            one = mine.setdefault(place, Open(created(member, w.seq)))
            one.channels.add(channel)
            one.is_send &= w.group.is_pair and w.op() == "send"
    found.update((rank, *place) for rank, mine in opened.items() for place in first(mine))
    return found


def first(opened: Mapping[Place, Open]) -> Iterator[Place]:
    """The oldest that is not a send, and sends before it; of those between the same ranks the oldest."""
    busy: set[Channel] = set()
    for place, one in sorted(opened.items(), key=lambda pair: pair[1].created):
        if busy.isdisjoint(one.channels):
            yield place
        if not one.is_send:
            return
        busy |= one.channels


def of_wait(w: Waiting, found: Container[Head]) -> frozenset[int]:
    """Of those who wait in an operation, for whom it is next."""
    return frozenset(m.rank for m in w.waiting if (m.rank, w.group.key, w.seq) in found)


def created(member: Member, seq: int) -> float:
    """When a rank launched an operation. What a dump no longer holds is older than all that it holds."""
    row = member.entry(seq)
    return float(row[2]) if row and len(row) > 2 and isinstance(row[2], int | float) else -math.inf

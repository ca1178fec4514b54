"""Of what each rank has open, what is next: its heads. Pure.

What a rank launches first is first to end, whatever the group: NCCL's streams wait for what was launched
before, unless a program waits for none of its sends. Gloo has threads for each: all that is open is next.
"""

import math
from collections.abc import Container, Sequence

from diagnose.waiting import Key, Member, Waiting

Place = tuple[Key, int]  # a group and the number of an operation
Head = tuple[int, Key, int]  # a rank, and the place of one of its heads


def heads(waits: Sequence[Waiting], unknown: Container[int] = ()) -> set[Head]:
    """What is next for each rank; nothing for those of which it is `unknown`."""
    found: set[Head] = set()
    oldest: dict[int, tuple[float, Place]] = {}
    for w in waits:
        for member in (m for m in w.waiting if m.rank not in unknown):
            own = created(member, w.seq), (w.group.key, w.seq)
            if not w.group.in_order:
                found.add((member.rank, *own[1]))
            elif member.rank not in oldest or own[0] < oldest[member.rank][0]:
                oldest[member.rank] = own
    return found | {(rank, *place) for rank, (_, place) in oldest.items()}


def of_wait(w: Waiting, found: Container[Head]) -> frozenset[int]:
    """Of those who wait in an operation, for whom it is next."""
    return frozenset(m.rank for m in w.waiting if (m.rank, w.group.key, w.seq) in found)


def created(member: Member, seq: int) -> float:
    """When a rank launched an operation. What a dump no longer holds is older than all that it holds."""
    row = member.entry(seq)
    return float(row[2]) if row and len(row) > 2 and isinstance(row[2], int | float) else -math.inf

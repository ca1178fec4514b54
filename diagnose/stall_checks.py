"""Whom Horovod's stall check misses: one answer for all stalled tensors, or none that fits them all. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from diagnose.model import Event, Evidence, is_below

MOST = 1 << 16  # ranks that an honest report counts
KINDS = ("horovod.tensors_stalled", "horovod.rank_missed")


class Missed(NamedTuple):
    """`late`: the ranks that every stalled tensor lacks; empty where each side waits for another tensor.

    `sides`: who does not hand in what a strict majority does (`majority`), else all that any tensor lacks.
    """

    late: list[int]
    sides: list[int]
    majority: bool
    events: list[Event]


def missed(evidence: Evidence) -> Missed | None:
    """By the last report; None where there is none, or where it does not tell who is missing."""
    heads = list(evidence.of("horovod.stalled"))
    lacking: dict[str, set[int]] = {}
    events: list[Event] = []
    told = [
        e for e in evidence.of(*KINDS) if not heads or e.where == heads[-1].where or is_below(e, heads[-1])
    ]
    rows = [(name, ranks, is_missing, e) for e in told for name, ranks, is_missing in rows_of(e)]
    highest = max((rank for _, ranks, _, _ in rows for rank in ranks), default=-1)
    size = max(highest + 1, evidence.num_ranks or 0)
    if size > MOST:
        return None
    for name, ranks, is_missing, event in rows:
        if late := ranks if is_missing else set(range(size)) - ranks:
            lacking[name] = lacking.get(name, set()) | late
            events.append(event)
    if not lacking:
        return None
    late = set.intersection(*lacking.values())
    shown = list({id(event): event for event in events}.values())[:4]
    few = [ranks for ranks in lacking.values() if 2 * len(ranks) < size]  # most have handed these in
    majority = bool(few) and all(ranks == few[0] for ranks in few)
    return Missed(sorted(late), sorted(few[0] if majority else set.union(*lacking.values())), majority, shown)


def rows_of(event: Event) -> Iterator[tuple[str, set[int], bool]]:
    """(tensor, ranks, whether these are the missing ones) of one line."""
    told = event.data.get("tensors")
    for row in told if isinstance(told, list) else []:
        if isinstance(row, list) and len(row) == 3:
            yield str(row[0]), integers(row[2]), row[1] == "missing"
        elif isinstance(row, str):
            yield row, integers(event.data.get("missing")), True


def integers(value: object) -> set[int]:
    return {one for one in value if isinstance(one, int)} if isinstance(value, list) else set()

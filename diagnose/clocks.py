"""One clock for all events of a run: the wall clock may step while it runs, and a rank's may be another.

Every line of ours carries `mono` beside `time`: the kernel's monotonic clock, which all processes of a
machine share and nobody can set. Where the two part by more than a second, the wall clock is not believed.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import msgspec

from diagnose.model import Event
from diagnose.values import number

APART_S = 1.0
MACHINE = {"run", "agent", "collector"}  # the writers that have the machine's own clock


class Pair(NamedTuple):
    """One moment on both clocks."""

    wall: float
    mono: float


class Clock:
    """The wall clock of one machine, and how far each rank's is from it."""

    def __init__(self, events: Sequence[Event]) -> None:
        pairs = [(e, pair) for e in events if (pair := pair_of(e))]
        own = [pair for e, pair in pairs if e.source in MACHINE] or [pair for _, pair in pairs]
        self.by_mono = sorted(own, key=lambda pair: pair.mono)
        self.monos = [pair.mono for pair in self.by_mono]
        self.by_wall = sorted(own)
        first = self.by_mono[0]
        self.zero = first.wall - first.mono
        off: dict[int, list[float]] = defaultdict(list)
        for event, (wall, mono) in pairs:
            if event.rank is not None and event.source not in MACHINE:
                off[event.rank].append(wall - self.told(mono))
        self.off = {rank: far for rank, all_ in off.items() if abs(far := median(all_)) > APART_S}

    def is_true(self) -> bool:
        """Did it run evenly, and those of all ranks with it?"""
        return not self.off and all(abs(w - m - self.zero) <= APART_S for w, m in self.by_mono)

    def told(self, mono: float) -> float:
        """What the machine's wall clock showed at a moment."""
        at = bisect_left(self.monos, mono)
        near = min(self.by_mono[max(0, at - 1) : at + 1], key=lambda pair: abs(pair.mono - mono))
        return near.wall + mono - near.mono

    def even(self, wall: float, rank: int | None) -> float:
        """What an even clock would have shown instead of `wall`."""
        wall -= self.off.get(-1 if rank is None else rank, 0.0)
        at = bisect_left(self.by_wall, (wall,))
        near = min(self.by_wall[max(0, at - 1) : at + 1], key=lambda pair: abs(pair.wall - wall))
        return wall + self.zero - (near.wall - near.mono)


def pair_of(event: Event) -> Pair | None:
    mono = number(event.data.get("mono"))
    if mono is None or event.time is None or not 0 <= mono < 1e10:
        return None
    return Pair(event.time, mono)


def straighten(events: Sequence[Event]) -> Sequence[Event]:
    """The events with times of one even clock a machine; as they are where all clocks ran evenly."""
    nodes: dict[str, list[Event]] = defaultdict(list)
    homes = {e.rank: e.node for e in events if e.rank is not None and e.node}
    for event in events:
        if pair_of(event) and event.node:
            nodes[event.node].append(event)
    clocks = {node: Clock(told) for node, told in nodes.items()}
    if all(clock.is_true() for clock in clocks.values()):
        return events
    only = next(iter(clocks)) if len(clocks) == 1 else ""

    def even(event: Event) -> Event:
        clock = clocks.get(event.node or (homes.get(event.rank, only) if event.rank is not None else only))
        if clock is None or event.time is None:
            return event
        pair = pair_of(event)
        time = pair.mono + clock.zero if pair else clock.even(event.time, event.rank)
        return msgspec.structs.replace(event, time=time, data=of_data(event, clock))

    return [even(event) for event in events]


def of_data(event: Event, clock: Clock) -> dict[str, object]:
    """A flight recorder tells the time of each of its entries, by the rank's clock."""
    if event.kind != "flight.group_read":
        return event.data

    def even(value: object) -> object:
        return clock.even(float(value), event.rank) if isinstance(value, int | float) else value

    rows, history = event.data.get("entries"), event.data.get("history")
    told = dict(event.data)
    if isinstance(rows, list):
        told["entries"] = [
            [*row[:2], even(row[2]), *row[3:]] if isinstance(row, list) and len(row) > 2 else row
            for row in rows
        ]
    if isinstance(history, dict) and isinstance(made := history.get("created_s"), list):
        told["history"] = {**history, "created_s": [even(time) for time in made]}
    return told

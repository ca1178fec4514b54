"""Memory that rose up to what there is, by figures alone: no kernel and no platform says so. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from diagnose.containers import Vanished, words
from diagnose.model import Event, Evidence, Record

WINDOW_S = 60.0  # what was held so long ago is what it has risen from
RISE, NEAR = 0.03, 0.9  # parts of the limit; what the sandbox itself holds is in no process's figures
MOST_GAP_S = 15.0  # between two samples


class Trend(Record, frozen=True):
    """What all processes held, as the last samples have it."""

    used: int  # bytes
    rate: float  # bytes/s
    reach: float  # bytes, until the container could have been heard again
    is_rising: bool
    events: list[Event]


def points(gone: Vanished, evidence: Evidence) -> list[tuple[float, int, Event]]:
    """(time, bytes, event) of all processes of the job; of the ranks where nobody counted the others."""
    counted = [
        (e.time, rss, e)
        for e in gone.own(evidence.of("memory.sampled"))
        if e.time is not None and isinstance(rss := e.data.get("rss"), int)
    ]
    if len(counted) > 1:
        return sorted(counted, key=lambda point: point[0])
    last: dict[int, int] = {}
    found = []
    for event in sorted(gone.own(evidence.of("rank.sampled")), key=lambda e: e.time or 0.0):
        if (
            event.time is not None
            and event.rank is not None
            and isinstance(rss := event.data.get("rss"), int)
        ):
            last[event.rank] = rss
            found.append((event.time, sum(last.values()), event))
    return [point for point in found if point[0] >= begun(found)]


def begun(found: Sequence[tuple[float, int, Event]]) -> float:
    """When the last of the ranks was first sampled: before that the sum rises with every rank that begins."""
    first: dict[int | None, float] = {}
    for time, _, event in found:
        first.setdefault(event.rank, time)
    return max(first.values(), default=0.0)


def trend(gone: Vanished, limit: int, evidence: Evidence) -> Trend | None:
    """How memory stood when a container was last heard; None where two samples do not tell."""
    told = points(gone, evidence)
    if len(told) < 2:
        return None
    end, used, _ = told[-1]
    recent = [point for point in told if point[0] >= end - WINDOW_S]
    since, low, _ = min(recent, key=lambda point: (point[1], -point[0]))
    rate = (used - low) / (end - since) if end > since else 0.0
    gap = min(MOST_GAP_S, median(b[0] - a[0] for a, b in pairwise(told)))
    heard = max((e.time or 0.0 for e in gone.own(words(evidence))), default=end)
    ahead = max(0.0, heard - end) + gap + gone.push_s
    is_rising = used - low >= RISE * limit and used >= (1 - RISE) * max(point[1] for point in recent)
    return Trend(used, rate, used + rate * ahead, is_rising, [told[-1][2], told[0][2]])


def is_outgrown(found: Trend, limit: int) -> bool:
    """Whether it was about to have no more, as far as figures tell."""
    return found.is_rising and found.reach >= NEAR * limit

"""Which looks of several nodes show one moment: each has an agent that looks by itself. Pure.

A hang lasts: what two nodes show of it belongs together wherever neither has moved in between. What follows a
death does not, so there only looks at nearly the same time do.
"""

from collections.abc import Sequence

from diagnose.model import Event

LASTING = {"stalled", "asked", "expiring"}
NEAR_S = 10.0


def begin(taken: Event) -> float | None:
    """When a look began: what moves from then on was not part of a hang."""
    seconds = taken.data.get("seconds")
    return taken.time and taken.time - (seconds if isinstance(seconds, int | float) else 0.0)


def moments(taken: Sequence[Event], progressed: Sequence[Event]) -> list[list[Event]]:
    """Each look with those of the other nodes that show the same moment; on one node each is alone."""
    nodes = {event.node for event in taken}
    if len(nodes) < 2:
        return [[event] for event in taken]
    found: dict[frozenset[int], list[Event]] = {}
    for event in sorted(taken, key=lambda one: one.time or 0.0):
        others = (partner(event, node, taken, progressed) for node in nodes - {event.node})
        group = [event, *(other for other in others if other)]
        found.setdefault(frozenset(map(id, group)), group)
    return list(found.values())


def partner(
    event: Event, node: str | None, taken: Sequence[Event], progressed: Sequence[Event]
) -> Event | None:
    """The look of another node that is nearest to this one, if it shows the same moment."""
    kinds = LASTING if event.data.get("cause") in LASTING else {event.data.get("cause")}
    theirs = [one for one in taken if one.node == node and one.data.get("cause") in kinds]
    nearest = min(theirs, key=lambda one: apart(event, one), default=None)
    if nearest is None or apart(event, nearest) <= NEAR_S:
        return nearest
    begun = sorted([begin(event) or 0.0, begin(nearest) or 0.0])
    has_moved = any(begun[0] <= (one.time or 0.0) <= begun[1] for one in progressed)
    return nearest if kinds is LASTING and not has_moved else None


def apart(one: Event, other: Event) -> float:
    return abs((begin(one) or 0.0) - (begin(other) or 0.0))

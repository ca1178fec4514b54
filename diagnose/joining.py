"""Who was in the rendezvous at a look, and who had not begun to join: as the ranks' hooks tell it. Pure."""

from diagnose.looks import Look
from diagnose.model import Event, Evidence, Record
from diagnose.rendezvous import INIT


class Joining(Record, frozen=True):
    """The ranks inside `init_process_group` with the events that say so, and those that never began it."""

    num: int  # which call of it
    inside: dict[int, Event]
    absent: list[int]


def joining(look: Look, evidence: Evidence) -> Joining | None:
    """What is to be said of a rendezvous under way at a look; None where nobody waits in it.

    A rank whose attempt had failed by then is neither inside nor absent, and so is one without a hook. Where
    somebody is left out that way, or came through, only those who never began are told of: nobody is behind,
    and not all have arrived.
    """
    begun: dict[int, Event] = {}
    ended: dict[int, Event] = {}
    for event in evidence.of("phase.started", "phase.ended"):
        early = look.time is None or event.time is None or event.time <= look.time
        if event.data.get("phase") == INIT and event.rank is not None and early:
            (begun if event.kind == "phase.started" else ended)[event.rank] = event
    inside = {
        rank: event
        for rank, event in begun.items()
        if rank not in ended or number(ended[rank]) < number(event)
    }
    if not inside:
        return None
    size = max(n for event in inside.values() if isinstance(n := event.data.get("world_size", 0) or 0, int))
    mute = {e.rank for e in evidence.of("rank.found") if e.data.get("how") == "environment"}
    absent = [rank for rank in range(min(size, 1 << 17)) if rank not in begun and rank not in mute]
    if not absent and len(inside) < size:
        return None
    return Joining(num=max(map(number, inside.values())), inside=inside, absent=absent)


def number(event: Event) -> int:
    """Which attempt to join an event is of."""
    num = event.data.get("num")
    return num if isinstance(num, int) else 0

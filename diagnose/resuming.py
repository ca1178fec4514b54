"""When a silent job went on by itself. Pure."""

import math
from collections.abc import Iterable

from diagnose.model import Event


def resumed(events: Iterable[Event], kind: str = "job.progressed") -> list[Event]:
    """The events that say so; what moves once we ask the command to end may move for that alone.

    A rank whose stop is ended, or a loop that its handler ends, lets the others go on for a moment.
    """
    told = [e for e in events if e.kind in (kind, "command.stopped")]
    ends = (e.time for e in told if e.kind == "command.stopped" and e.time is not None)
    end = min(ends, default=math.inf)
    return [e for e in told if e.kind == kind and (e.time is None or e.time < end)]


def last_resumed(events: Iterable[Event]) -> float:
    """When it last went on; 0.0 for never."""
    return max((e.time or 0.0 for e in resumed(events)), default=0.0)

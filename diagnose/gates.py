"""What kept a command from being started: the last word of a gate before it. Pure."""

from diagnose.model import Event, Evidence


def closed(evidence: Evidence) -> Event | None:
    """The compile cache's gate where it let nothing start; one rank alone may warm the cache."""
    event = next(reversed(list(evidence.of("cache.gated"))), None)
    if event is None or event.data.get("is_open") is True or event.data.get("is_alone") is True:
        return None
    return event

"""What was found in which file, and which lines nobody understood. Pure."""

import re
from collections import Counter
from collections.abc import Sequence

from diagnose.model import Event
from diagnose.verdict import Found, Line, UnknownLines

PLACE = re.compile(r"(?::\d+|#[^/!]*)$")
MAX_LINES = 50


def file_of(where: str) -> str:
    """
    >>> file_of("old.zip!logs/rank0.log:88"), file_of("flight/9/rank-00003.json#entry=7"), file_of("dmesg")
    ('old.zip!logs/rank0.log', 'flight/9/rank-00003.json', 'dmesg')
    """
    return PLACE.sub("", where)


def table(events: Sequence[Event]) -> list[Found]:
    """Each file with the number of events of each source in it, in the order of the events."""
    files: dict[str, Counter[str]] = {}
    for event in events:
        sources = files.setdefault(file_of(event.where), Counter())
        sources[event.source] += event.kind != "source.unreadable"
    return [Found(file, dict(sources)) for file, sources in files.items()]


def unknown(events: Sequence[Event]) -> UnknownLines:
    """Lines that look like errors and that nobody recognised: how many, and the first of each file."""
    told = [event for event in events if event.kind == "log.read"]
    examples = [
        Line(f"{file_of(event.where)}:{row[0]}", str(row[1]))
        for event in told
        if isinstance(rows := event.data.get("unknown"), list)
        for row in rows
        if isinstance(row, list) and len(row) == 2
    ]
    num = sum(n for event in told if isinstance(n := event.data.get("num_unknown"), int))
    return UnknownLines(num, examples[:MAX_LINES])

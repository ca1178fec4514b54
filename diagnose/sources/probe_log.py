"""Event lines of our own probes: `attempts/1/events/rank-00003-000001.jsonl`, or any file of such lines.

>>> from io import BytesIO
>>> line = b'{"v":1,"time":7.5,"event":"rank.died","source":"agent","rank":3,"signal":9}'
>>> event = next(parse(Member("events/agent-000001.jsonl", len(line), lambda: BytesIO(line))))
>>> event.kind, event.source, event.where, event.time, event.rank, event.data
('rank.died', 'agent', 'events/agent-000001.jsonl:1', 7.5, 3, {'signal': 9})
"""

import re
from collections.abc import Iterator

from diagnose.model import Event, Member
from diagnose.naming import MAX_RANK, steps
from diagnose.text import LINE_LIMIT, lines_of
from diagnose.values import integer, json_value, number, plain, string

# The kinds are those of the probes: each line names its own. These are this reader's.
EVENTS = {"source.unreadable": "a whole line that is no JSON object; data: reason"}
OWN = {"v", "time", "event", "source", "run", "attempt", "node", "rank", "level"}
LINE = re.compile(rb'\s*\{[^\n]{0,4000}"event"\s*:\s*"')
MAX_ALIKE = 100


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    if "events" in names[:-1] and names[-1].endswith(".jsonl"):
        return True
    first = head.partition(b"\n")[0]
    return bool(LINE.match(first)) and b'"source"' in first and b'"time"' in first


def parse(member: Member) -> Iterator[Event]:
    num_bad = 0
    held: Event | None = None  # the last line may be torn: then it is nobody's fault
    for count, line in lines_of(member):
        if held is not None:
            yield held
            held = None
        if not line.strip():
            continue
        place = f"{member.where}:{count}"
        try:
            found = json_value(line)
        except ValueError as error:
            found, why = None, str(error)
        else:
            why = "no JSON object"
        if isinstance(found, dict):
            if event := read(found, place):
                yield event
        else:
            num_bad += 1
            if num_bad <= MAX_ALIKE:
                cut = f" (cut at {LINE_LIMIT} characters)" if len(line) >= LINE_LIMIT else ""
                held = Event("source.unreadable", "probe_log", place, data={"reason": why + cut})


def read(line: dict[str, object], place: str) -> Event | None:
    """One line; None where it names no event. Unknown keys become data, whatever the version."""
    kind = string(line.get("event"), 100)
    if not kind:
        return None
    rank = integer(line.get("rank"))
    data = plain({key: value for key, value in line.items() if key not in OWN})
    return Event(
        kind=kind,
        source=string(line.get("source"), 100) or "probe_log",
        where=place,
        time=number(line.get("time")),
        node=string(line.get("node"), 300) or None,
        rank=rank if rank is not None and 0 <= rank < MAX_RANK else None,
        data=data if isinstance(data, dict) else {},
    )

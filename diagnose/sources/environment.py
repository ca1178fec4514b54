"""What a container offers, as our probe found it at the start: `attempts/1/host/environment.json`.

Where the kernel's log or its counters are a sandbox's own, those sources are unavailable: whatever they hold
is no evidence.

>>> from io import BytesIO
>>> text = b'{"version":1,"time":9.5,"items":[{"name":"kernel_log","state":"refused","reason":"fiction"}]}'
>>> member = Member("attempts/1/host/environment.json", len(text), lambda: BytesIO(text))
>>> for event in parse(member):
...     print(event.kind, event.source, event.where, event.data)
environment.captured environment attempts/1/host/environment.json#entry=1 {'item': 'kernel_log', 'state': 'refused', 'value': None, 'reason': 'fiction'}
source.unavailable kernel_log attempts/1/host/environment.json#entry=1 {'reason': 'fiction'}
"""  # noqa: E501

from collections.abc import Iterator

from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.values import json_value, number, plain, string

EVENTS = {
    "environment.captured": "data: item, state (present, absent, refused: not for us, or not what it seems), "
    "value, reason",
    "source.unavailable": "another source has nothing real to read here; data: reason",
    "source.unreadable": "data: reason",
}
STATES = {"present", "absent", "refused"}
NEEDED = {"kernel_log": "kernel_log", "cgroup": "cgroup"}  # item -> the source that lives by it
LIMIT, MAX_ITEMS = 1 << 20, 1000


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    return names[-1] == "environment.json" and (names[-2:-1] == ["host"] or b'"items"' in head)


def parse(member: Member) -> Iterator[Event]:
    try:
        found = json_value(member.read(LIMIT))
    except ValueError as error:
        yield Event("source.unreadable", "environment", member.where, data={"reason": str(error)})
        return
    rows = found.get("items") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(rows, list):
        yield Event("source.unreadable", "environment", member.where, data={"reason": "no items in it"})
        return
    time, node = number(found.get("time")), string(found.get("node"), 300) or None
    for count, row in enumerate(rows[:MAX_ITEMS], 1):
        name = string(row.get("name"), 100) if isinstance(row, dict) else ""
        if not isinstance(row, dict) or not name or row.get("state") not in STATES:
            continue
        place, reason = f"{member.where}#entry={count}", string(row.get("reason"), 500)
        data = {"item": name, "state": row["state"], "value": plain(row.get("value")), "reason": reason}
        yield Event("environment.captured", "environment", place, time=time, node=node, data=data)
        if name in NEEDED and row["state"] != "present":
            why: dict[str, object] = {"reason": reason or "there is none here"}
            yield Event("source.unavailable", NEEDED[name], place, time=time, node=node, data=why)

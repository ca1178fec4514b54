"""Counters of the ranks' memory cgroups as the agent read them: `attempts/1/host/cgroup.json`.

>>> from io import BytesIO
>>> text = b'{"version":1,"readings":[{"time":9.5,"rank":1,"pid":7,"dead":true,"group":"/a","oom_kill":1}]}'
>>> event = next(parse(Member("attempts/1/host/cgroup.json", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.time, event.rank, event.data["oom_kill"]
('cgroup.read', 'attempts/1/host/cgroup.json#entry=1', 9.5, 1, 1)
"""

from collections.abc import Iterator

from diagnose.model import Event, Member
from diagnose.naming import MAX_RANK, steps
from diagnose.values import integer, json_value, number, string

EVENTS = {
    "cgroup.read": "data: group, pid, dead (read after its death), oom_kill, limit, usage, peak (bytes)",
    "source.unreadable": "data: reason",
}
COUNTS = ("pid", "oom_kill", "limit", "usage", "peak")


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    return names[-1] == "cgroup.json" or (head.lstrip()[:1] == b"{" and b'"oom_kill"' in head)


def parse(member: Member) -> Iterator[Event]:
    try:
        found = json_value(member.read())
    except ValueError as error:
        yield Event("source.unreadable", "cgroup", member.where, data={"reason": str(error)})
        return
    rows = found.get("readings") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        yield Event("source.unreadable", "cgroup", member.where, data={"reason": "no readings in it"})
        return
    for count, row in enumerate(rows, 1):
        rank = integer(row.get("rank")) if isinstance(row, dict) else None
        if isinstance(row, dict) and rank is not None and 0 <= rank < MAX_RANK:
            data: dict[str, object] = {name: integer(row.get(name)) for name in COUNTS}
            data |= {"group": string(row.get("group"), 1000), "dead": row.get("dead") is True}
            place, time = f"{member.where}#entry={count}", number(row.get("time"))
            yield Event("cgroup.read", "cgroup", place, time=time, rank=rank, data=data)

"""The states a run went through: `manifest.json` of a run directory.

>>> from io import BytesIO
>>> text = b'{"schema":"diagnose/manifest/1","run":"r","state":"ok","transitions":[{"state":"ok","time":5.0,"reason":"done"}]}'
>>> event = next(parse(Member("manifest.json", len(text), lambda: BytesIO(text))))
>>> event.kind, event.time, event.data
('run.state_changed', 5.0, {'state': 'ok', 'reason': 'done'})
"""  # noqa: E501

from collections.abc import Iterator

from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.values import json_value, number, string

EVENTS = {
    "run.state_changed": "data: state (launching, detached, running, ok, error, lost), reason",
    "source.unreadable": "data: reason",
}
LIMIT = 4 << 20


def recognises(where: str, head: bytes) -> bool:
    return steps(where)[-1] == "manifest.json" and (b"diagnose/manifest/" in head or len(steps(where)) == 1)


def parse(member: Member) -> Iterator[Event]:
    try:
        found = json_value(member.read(LIMIT))
    except ValueError as error:
        yield Event("source.unreadable", "manifest", member.where, data={"reason": str(error)})
        return
    rows = found.get("transitions") if isinstance(found, dict) else None
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict):
            data: dict[str, object] = {key: string(row.get(key)) for key in ("state", "reason")}
            where = f"{member.where}#entry={index}"
            yield Event("run.state_changed", "manifest", where, time=number(row.get("time")), data=data)

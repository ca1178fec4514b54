"""An exception as its rank wrote it down: torchelastic's `error.json`, and the rank hook's own files.

>>> from io import BytesIO
>>> text = b'{"message": {"message": "ValueError: bad", "extraInfo": {"timestamp": "1795486935"}}}'
>>> event = next(parse(Member("none_x/attempt_0/1/error.json", len(text), lambda: BytesIO(text))))
>>> event.kind, event.rank, event.time, event.data["type"], event.data["message"]
('exception.raised', 1, 1795486935.0, 'ValueError', 'bad')
"""

from collections.abc import Iterator

from diagnose.logs import LAUNCHERS_OWN, MAX_TEXT, exception
from diagnose.model import Event, Member
from diagnose.naming import rank_of, steps
from diagnose.tracebacks import EXCEPTION, read
from diagnose.values import integer, json_value, number, string

EVENTS = {
    "exception.raised": "data: type, message, frames (innermost last), end (of a chain)",
    "source.unreadable": "data: reason",
}
LIMIT = 16 << 20
CALLSTACK = 1 << 20  # characters


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    if names[-1].endswith(".json") and (names[-1] == "error.json" or "errors" in names[:-1]):
        return True
    return head.lstrip()[:1] == b"{" and b'"extraInfo"' in head and b'"py_callstack"' in head


def parse(member: Member) -> Iterator[Event]:
    rank = rank_of(member.where)
    try:
        found = json_value(member.read(LIMIT))
    except ValueError as error:
        yield unreadable(member, rank, str(error))
        return
    if not isinstance(found, dict):
        yield unreadable(member, rank, "no JSON object")
        return
    inner = found.get("message")
    body = inner if isinstance(inner, dict) else found
    extra = body.get("extraInfo")
    extra = extra if isinstance(extra, dict) else {}
    stack = string(extra.get("py_callstack") or body.get("traceback"), CALLSTACK)
    name, message = split(string(body.get("message"), CALLSTACK))
    name = string(found.get("type"), 200) or name
    raised = [r for r in read(stack) if r.type]
    told = found.get("frames")
    frames = [string(f, 700) for f in told if isinstance(f, str)] if isinstance(told, list) else []
    if not frames and raised:
        frames = raised[-1].frames
    if not name and raised:
        name, message = raised[-1].type, raised[-1].message
    if not name and not message:
        yield unreadable(member, rank, "no exception in it")
        return
    if name.rpartition(".")[2] in LAUNCHERS_OWN:
        return
    own = integer(found.get("rank"))
    rank = rank if rank is not None else own if own is not None and own >= 0 else None
    stamps = (number(d.get("timestamp")) or number(d.get("time")) for d in (extra, body, found))
    time = next((stamp for stamp in stamps if stamp), None)
    end: dict[str, object] = {
        "type": name,
        "message": message[:MAX_TEXT],
        "frames": frames[-20:],
        "end": True,
    }
    for data in [*(exception(one) for one in raised if not one.is_end), end]:
        yield Event("exception.raised", "elastic_error", member.where, time=time, rank=rank, data=data)


def split(text: str) -> tuple[str, str]:
    """`ValueError: bad` -> its two parts; a text without a type has an empty one."""
    first, newline, rest = text.partition("\n")
    found = EXCEPTION.fullmatch(first)
    if not found or " " in found["type"]:
        return "", text
    return found["type"], (found["message"] or "") + newline + rest


def unreadable(member: Member, rank: int | None, reason: str) -> Event:
    return Event("source.unreadable", "elastic_error", member.where, rank=rank, data={"reason": reason})

"""Lines that a collector of logs keeps one by one, each in a JSON object: Docker, fluentd, journald, a cloud.

Each becomes what was printed, behind its time and its rank where the object tells them. Pure.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from diagnose.naming import MAX_RANK
from diagnose.stamps import has_zone
from diagnose.values import integer
from diagnose.wrappers import STAMP

# What holds the line, and what must be beside it.
FORMS = (
    ("log", ("time", "stream", "kubernetes", "timestamp")),
    ("MESSAGE", ("__REALTIME_TIMESTAMP", "_HOSTNAME", "_PID")),
    ("textPayload", ("timestamp", "logName")),
    *((text, ("level", "levelname", "severity", "lvl", "logger")) for text in ("message", "msg")),
)
NO_LOG = {"event", "frames", "extraInfo"}  # ours
TIMES = ("time", "timestamp", "@timestamp", "ts", "asctime", "__REALTIME_TIMESTAMP")
TRACES = ("exc_info", "exception", "traceback", "stack_trace", "stack")
RANKS = ("rank", "global_rank")
MAX_LOOKED = 20
DECODER = msgspec.json.Decoder(dict[str, object])


def recorded(lines: Sequence[bytes]) -> Callable[[bytes], bytes] | None:
    """What takes the lines of a chunk out of their objects; None where they are in none.

    >>> layer = recorded([b'{"log":"boom\\\\n","stream":"stderr","time":"2026-08-24T10:00:00Z"}'])
    >>> layer(b'{"log":"Traceback ...\\\\n  File\\\\n","rank":3,"time":"2026-08-24T10:00:01Z"}\\n')
    b'2026-08-24T10:00:01Z [rank3]: Traceback ...\\r2026-08-24T10:00:01Z [rank3]:   File\\n'
    """
    told = [line for line in lines if line.strip()][:MAX_LOOKED]
    rows = [row for line in told if (row := decoded(line)) is not None]
    if not rows or len(rows) < len(told) or any(NO_LOG & row.keys() for row in rows):
        return None
    for name, beside in FORMS:
        if all(isinstance(row.get(name), str) and any(key in row for key in beside) for row in rows):
            return lambda chunk: b"\n".join(line_of(line, name) for line in chunk.split(b"\n"))
    return None


def decoded(line: bytes) -> dict[str, object] | None:
    if not line.startswith(b"{"):
        return None
    try:
        return DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def line_of(line: bytes, name: str) -> bytes:
    """The line in an object, as a terminal shows it: what it has of several is parted by carriage returns."""
    row = decoded(line)
    text = row.get(name) if row else None
    if row is None or not isinstance(text, str):
        return line
    rank = next((n for key in RANKS if (n := integer(row.get(key))) is not None and 0 <= n < MAX_RANK), None)
    before = stamp(row) + (f"[rank{rank}]: " if rank is not None else "")
    parts = [text, *(trace for key in TRACES if isinstance(trace := row.get(key), str))]
    shown = [part for text in parts for part in text.replace("\r", "\n").split("\n") if part.strip()]
    return "\r".join(before + part for part in shown).encode("utf-8", "replace")


def stamp(row: dict[str, object]) -> str:
    """The time that an object tells, with its zone; empty without."""
    told = next((row[key] for key in TIMES if row.get(key)), "")
    if (found := integer(told)) is not None and found > 1 << 40:  # journald's microseconds
        try:
            return datetime.fromtimestamp(found / 1e6, UTC).isoformat().replace("+00:00", "Z") + " "
        except (ValueError, OverflowError, OSError):
            return ""
    text = f"{told} " if isinstance(told, str) else ""
    return text if STAMP.fullmatch(text) and has_zone(text) else ""

"""What the platform says of a run, kept as evidence like any other: `platform/` of the run directory."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from diagnose.surfaces.modal.cloud_types import Line
from diagnose.surfaces.modal.outcome import EVENTS, Outcome
from diagnose.values import string
from probes.files import atomic_write
from probes.redact import redact

FOLDER = "platform"
ROW_LIMIT, MOST_ROWS, EACH = 2000, 10_000, 20  # characters, rows at its begin and end, and of one text
HEALTH = "[gpu-health]"


def call_ended(run: Path, outcome: Outcome) -> None:
    """How the call ended, as an event of the platform's log; nothing where it ended by itself.

    When it did, the platform does not say: the last that its container pushed is the nearest.
    """
    if outcome.kind not in EVENTS:
        return
    line = {
        "v": 1,
        "time": round(last_pushed(run) or time.time(), 6),
        "event": EVENTS[outcome.kind],
        "source": "platform_log",
        "level": "error",
        "by": "modal",
        "text": outcome.text or outcome.kind,
    }
    folder = run / FOLDER / "events"
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / "call-000001.jsonl", msgspec.json.encode(line) + b"\n")


def last_pushed(run: Path) -> float:
    """When something was last put on the volume, by its clock; 0 where nothing was."""
    return max((p.stat().st_mtime for p in run.glob("attempts/*/*/*") if p.is_file()), default=0.0)


def keep_logs(run: Path, lines: Iterable[Line]) -> bool:
    """Keep what the platform itself says; what the job printed is in the run already. True if it is new.

    What was kept before stays: the platform forgets.
    """
    path = run / FOLDER / "modal.log"
    before = path.read_text(errors="replace").splitlines() if path.is_file() else []
    told = (row for line in lines if is_its_own(line) for row in rows(line))
    after = thinned(sorted({*before, *thinned(told)}))
    if after == before:
        return False
    path.parent.mkdir(exist_ok=True)
    atomic_write(path, "".join(f"{row}\n" for row in after).encode(errors="replace"))
    return True


def is_its_own(line: Line) -> bool:
    return line.source == "system" or HEALTH in line.text


def rows(line: Line) -> Iterator[str]:
    """Each line of an entry by itself, behind its time."""
    for text in line.text.splitlines():
        if text.strip():
            yield f"{stamp(line.time)} {redact(string(text.rstrip(), ROW_LIMIT))}"


def thinned(rows: Iterable[str]) -> list[str]:
    """Rows in order of time: of a text that floods a log its first ones and its last, and a bounded whole.

    >>> thinned([f"{second:02d} Xid 79" for second in range(30)])[-2:]
    ['19 Xid 79', '29 Xid 79']
    """
    num: Counter[str] = Counter()
    first: list[str] = []
    last: dict[str, str] = {}
    for row in rows:
        text = row.partition(" ")[2]
        num[text] += 1
        if num[text] <= EACH and len(first) < MOST_ROWS:
            first.append(row)
            continue
        last.pop(text, None)
        last[text] = row
        if len(last) > MOST_ROWS:
            del last[next(iter(last))]
    return sorted({*first, *last.values()})


def stamp(when: float) -> str:
    """
    >>> stamp(1795424041.25)
    '2026-11-23T08:54:01.250000Z'
    """
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

"""What the platform says of a run, kept as evidence like any other: `platform/` of the run directory."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec

from diagnose.surfaces.modal.cloud_types import Line
from diagnose.surfaces.modal.outcome import EVENTS, Outcome
from probes.files import atomic_write
from probes.redact import redact

FOLDER = "platform"
KEPT_LIMIT, MOST_LINES = 8 << 20, 500_000
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


def keep_logs(run: Path, lines: Iterable[Line]) -> list[Line]:
    """Keep what the platform itself says; what the job printed is in the run already. All lines again."""
    told = list(islice(lines, MOST_LINES))
    own = [line for line in told if line.source == "system" or HEALTH in line.text]
    text = "".join(f"{stamp(line.time)} {redact(line.text.rstrip())}\n" for line in own)
    if text:
        (run / FOLDER).mkdir(exist_ok=True)
        atomic_write(run / FOLDER / "modal.log", text.encode(errors="replace")[-KEPT_LIMIT:])
    return told


def stamp(when: float) -> str:
    """
    >>> stamp(1795424041.25)
    '2026-11-23T08:54:01.250000Z'
    """
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

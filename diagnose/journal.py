"""The event lines of `diagnose run` itself: what it started, changed, was told and saw end."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from diagnose.values import plain
from probes.files import append_line, atomic_write, finished
from probes.here import node
from probes.layout import events_path, segment_path
from probes.redact import redact_value


class Journal:
    """Writer `run` of a spool. A line that cannot be written is told once, through `complain`."""

    def __init__(self, spool: Path, run: str, attempt: str, complain: Callable[[str], None]) -> None:
        self.path = Path(events_path(str(spool), attempt, "run"))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.frame = {"source": "run", "run": run, "attempt": attempt, "node": node()}
        self.complain, self.is_failing = complain, False

    def say(self, event: str, level: str = "info", **data: object) -> None:
        """Append one event."""
        line = {"v": 1, "time": round(time.time(), 6), "event": event, **self.frame, "level": level}
        line["mono"] = round(time.monotonic(), 6)
        cleaned = plain(redact_value(data))
        try:
            append_line(
                self.path, msgspec.json.encode({**line, **(cleaned if isinstance(cleaned, dict) else {})})
            )
        except OSError as error:
            if not self.is_failing:
                self.complain(f"events cannot be written: {error.strerror or error}")
            self.is_failing = True


def segment(run: Path, attempt: str, writer: str, number: int, event: str, data: dict[str, object]) -> None:
    """Write one event as a sealed segment of a writer that has little to say. Raises OSError."""
    path = Path(segment_path(str(run), attempt, writer, number))
    path.parent.mkdir(parents=True, exist_ok=True)
    cleaned = plain(redact_value(data))
    line = {"v": 1, "time": round(time.time(), 6), "event": event, "source": writer}
    atomic_write(
        path, msgspec.json.encode({**line, **(cleaned if isinstance(cleaned, dict) else {})}) + b"\n"
    )


class Tail:
    """New whole lines of the files that match a pattern, whenever `read` is called."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self.folder, self.pattern = folder, pattern
        self.offsets: dict[Path, int] = {}

    def read(self) -> list[dict[str, object]]:
        """Event lines that were added since the last call."""
        found: list[dict[str, object]] = []
        for path in sorted(self.folder.glob(self.pattern)):
            with suppress(OSError):
                at = self.offsets.get(path, 0)
                if path.stat().st_size <= at:
                    continue
                with path.open("rb") as file:
                    file.seek(at)
                    data = file.read(4 << 20)
                whole = data[: data.rfind(b"\n") + 1]
                self.offsets[path] = at + len(whole)
                for text in whole.splitlines():
                    with suppress(msgspec.DecodeError, UnicodeDecodeError):
                        line = msgspec.json.decode(text)
                        found += [line] if isinstance(line, dict) else []
        return found


def news(data: bytes) -> int:
    """Where the last line ends that is more than a sample: samples are brought over at leisure."""
    end, size = 0, 0
    for line in data.splitlines(keepends=True):
        size += len(line)
        end = end if b'"event":"rank.sampled"' in line or not line.endswith(b"\n") else size
    return end


def sealed(spool: Path, run: Path) -> Callable[[], bool]:
    """A question to ask again: has all that the spool holds now reached the run directory?"""
    events = {path: news(path.read_bytes()) for path in spool.glob("attempts/*/events/*.jsonl")}
    wholes = [
        attempt.relative_to(spool) / kind / name
        for attempt in spool.glob("attempts/*")
        for kind in ("stacks", "flight", "errors")
        for name in finished(str(attempt / kind))
    ]

    def is_there() -> bool:
        for path, size in events.items():
            folder = run / path.parent.relative_to(spool)
            if sum(p.stat().st_size for p in folder.glob(f"{path.stem}-[0-9]*.jsonl")) < size:
                return False
        return all((run / path).exists() or not (spool / path).exists() for path in wholes)

    return is_there


def save(path: Path, data: bytes, complain: Callable[[str], None]) -> bool:
    """Write a file whole, or say in one line why not."""
    try:
        atomic_write(path, data)
    except OSError as error:
        complain(f"{os.fspath(path)} cannot be written: {error.strerror or error}")
        return False
    return True

"""Keeps a volume abreast of a run directory: what is new or has grown is put there while the job runs.

What was put outlives a SIGKILL of the container. No file of the run is kept open, none is ever half there:
segments and dumps are written once, and a log is put again as a whole, the larger the less often.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from diagnose.values import string
from probes.files import finished
from probes.layout import segment_path
from probes.redact import redact


class Volume(NamedTuple):
    """The run's place on a volume: paths are below the run. Both raise what they like."""

    put: Callable[[list[tuple[str, bytes]]], None]
    remove: Callable[[str], None]


TICK_S, BATCH = 0.25, 32 << 20
DROPPED = "dropped.txt"  # in an attempt: folders of dumps that were taken back
LOG_RATE = 2 << 20  # bytes of a log for each second between two times that it is put
ORDER = ("events", "errors", "stacks", "flight", "host", "logs")  # what tells most of a death goes first
URGENT = (b'"level":"warning"', b'"level":"error"')  # how the agent tells news: a death, a stall, a refusal


class Pusher(threading.Thread):
    """Puts what is new every `interval_s` seconds, and at once when the agent has news."""

    def __init__(self, run: Path, volume: Volume, interval_s: float) -> None:
        super().__init__(name="push", daemon=True)
        self.top, self.volume, self.interval_s = run, volume, interval_s
        self.done: dict[str, tuple[int, int]] = {}  # path -> (mtime_ns, size) as it was put
        self.at: dict[str, float] = {}
        self.heard: dict[str, int] = {}  # attempt -> the agent's last segment that was looked at
        self.failure = ""  # why the last push did not work
        self.ending = threading.Event()

    def run(self) -> None:
        due = 0.0
        while not self.ending.wait(TICK_S):
            is_urgent, now = self.has_news(), time.monotonic()
            if is_urgent or now >= due:
                self.push(is_urgent)
                due = time.monotonic() + self.interval_s
        self.push(is_whole=True)

    def finish(self, limit_s: float) -> bool:
        """Put all that is left, for so long at most; whether all of it got there."""
        self.ending.set()
        if self.is_alive():
            self.join(limit_s)
        return not self.is_alive() and not self.failure

    def has_news(self) -> bool:
        """Whether the agent has sealed something that may not wait."""
        is_urgent = False
        for attempt in names(self.top / "attempts"):
            number = self.heard.get(attempt, 0)
            while data := content(segment_path(str(self.top), attempt, "agent", number + 1)):
                number += 1
                is_urgent = is_urgent or any(word in data for word in URGENT)
            self.heard[attempt] = number
        return is_urgent

    def push(self, is_whole: bool) -> bool:
        """Put what is due; with `is_whole` also logs that were put a moment ago. False where it failed."""
        try:
            self.take_back()
            for batch in self.batches(is_whole):
                self.volume.put([(path, data) for path, data, _ in batch])
                for path, _, version in batch:
                    self.done[path], self.at[path] = version, time.monotonic()
        except Exception as error:  # whatever the network does, the job goes on
            self.failure = redact(f"{type(error).__name__}: {string(str(error), 300)}")
            return False
        self.failure = ""
        return True

    def take_back(self) -> None:
        """Dumps that the agent took back (of those at set times it keeps the last) go there too.

        A list of them stays, for who has fetched one meanwhile. Where the volume refuses, they stay as well.
        """
        gone = {path for path in self.done if "/flight/" in path and not (self.top / path).exists()}
        for folder in sorted({path.rpartition("/")[0] for path in gone}):
            attempt, _, name = folder.partition("/flight/")
            if (self.top / folder).exists() or not name.isdigit():
                continue
            with (self.top / attempt / DROPPED).open("a") as file:
                file.write(f"flight/{name}\n")
            with suppress(Exception):
                self.volume.remove(folder)
            self.done = {
                path: version for path, version in self.done.items() if not path.startswith(f"{folder}/")
            }

    def batches(self, is_whole: bool) -> Iterator[list[tuple[str, bytes, tuple[int, int]]]]:
        """What is due, in parts of a bounded size: (path, content, version)."""
        batch: list[tuple[str, bytes, tuple[int, int]]] = []
        for path, version in self.due(is_whole):
            data = content(self.top / path)
            batch.append((path, data, version))
            if sum(len(data) for _, data, _ in batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def due(self, is_whole: bool) -> list[tuple[str, tuple[int, int]]]:
        """Files that are not on the volume as they are here, the most telling first."""
        found, now = [], time.monotonic()
        for name in finished(str(self.top / "attempts")):
            path = f"attempts/{name}"
            if path in self.done and name.endswith(".jsonl"):  # a segment is written once, and there are many
                continue
            try:
                stat = (self.top / path).stat()
            except OSError:  # the agent took it back
                continue
            version, wait = (stat.st_mtime_ns, stat.st_size), stat.st_size / LOG_RATE
            if self.done.get(path) != version and (is_whole or now - self.at.get(path, 0.0) >= wait):
                found.append((path, version))
        return sorted(found, key=lambda pair: (rank(pair[0]), pair[0]))


def rank(path: str) -> int:
    kind = path.split("/")[2] if path.count("/") > 1 else ""
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return []


def content(path: "str | Path") -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""

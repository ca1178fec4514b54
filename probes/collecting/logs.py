"""Logs that grow: appended to the run directory by whole lines, exactly once, with a cap in the middle.

How far each log has come is kept in the spool and written after the lines themselves; what a killed collector
appended but did not note is cut off again before the next line.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field

from probes.files import atomic_write

HEAD, TAIL, _PART, _LONG_LINE = 64 << 20, 8 << 20, 4 << 20, 1 << 16


@dataclass
class Log:
    """One log of the run directory and its sources: {path of a source: bytes taken}."""

    target: str
    sources: dict[str, int]
    size: int = 0
    is_full: bool = False
    is_ended: bool = False


@dataclass
class Logs:
    """All logs of a run. Raises OSError of the destination; call it again later then."""

    state: str  # where the offsets are kept, in the spool
    logs: dict[str, Log] = field(default_factory=dict)

    def load(self) -> None:
        """Take up where an earlier collector ended."""
        with suppress(OSError, ValueError, TypeError, KeyError), open(self.state, "rb") as file:
            self.logs = {key: Log(**value) for key, value in json.loads(file.read()).items()}

    def add(self, target: str, source: str) -> None:
        """From now on `source` goes into `target`."""
        log = self.logs.setdefault(target, Log(target, {}))
        log.sources.setdefault(source, 0)

    def append(self, is_final: bool) -> list[str]:
        """Append what is new; answers the logs that reached their cap in this call."""
        full: list[str] = []
        for log in self.logs.values():
            was_full = log.is_full
            while not log.is_full and self._take(log, is_final):
                pass
            if is_final and log.is_full and not log.is_ended:
                self._end(log)
            if log.is_full and not was_full:
                full.append(log.target)
        return full

    def spare(self) -> list[tuple[str, int]]:
        """Sources of full logs, each with where the part begins that may still be wanted."""
        found = [
            (source, log.is_ended) for log in self.logs.values() if log.is_full for source in log.sources
        ]
        return [
            (source, os.stat(source).st_size - 2 * TAIL)
            for source, is_ended in found
            if not is_ended and os.path.exists(source)
        ]

    def _take(self, log: Log, is_final: bool) -> bool:
        taken, data = dict(log.sources), b""
        for source, offset in log.sources.items():
            part = read(source, offset, _PART)
            whole = part[: part.rfind(b"\n") + 1]
            if len(part) - len(whole) > _LONG_LINE or (is_final and len(part) < _PART):
                whole = part
            taken[source] = offset + len(whole)
            data += whole
            if is_final and whole and not whole.endswith(b"\n"):
                data += b"\n"
        if not data:
            return False
        self._write(log, data)
        log.sources, log.size = taken, log.size + len(data)
        log.is_full = log.size >= HEAD
        self._save()
        return True

    def _end(self, log: Log) -> None:
        """The end of what did not fit, behind a line that says how much is missing."""
        data = b""
        for source, offset in log.sources.items():
            size = os.stat(source).st_size if os.path.exists(source) else 0
            begin = max(offset, size - TAIL)
            data += (
                b"... %d bytes left out ...\n" % (begin - offset) + read(source, begin, TAIL)
                if size > offset
                else b""
            )
        if data:
            self._write(log, data)
        log.size, log.is_ended = log.size + len(data), True
        self._save()

    def _write(self, log: Log, data: bytes) -> None:
        os.makedirs(os.path.dirname(log.target), exist_ok=True)
        fd = os.open(log.target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(fd, log.size)
            os.lseek(fd, log.size, os.SEEK_SET)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)

    def _save(self) -> None:
        atomic_write(self.state, json.dumps({key: vars(log) for key, log in self.logs.items()}).encode())


def read(path: str, offset: int, limit: int) -> bytes:
    """Up to `limit` bytes from `offset`; empty where there is no such file."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(limit)
    except OSError:
        return b""

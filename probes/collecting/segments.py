"""Event files become sealed segments: each an exact slice of the spool's file, named only when it is on disk.

What was sealed so far is read off the destination, so a collector may be killed and begun again at any time.
"""

import os
import time

from probes import layout
from probes.files import atomic_write

_DIGITS = 6
_SLOWEST_S = 10.0  # for a writer that has said much already, and now says nothing urgent


def sealed(folder: str) -> dict[str, tuple[int, int]]:
    """{writer: (last number, bytes)} of the segments in a run directory's events folder."""
    found: dict[str, tuple[int, int]] = {}
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return found
    for entry in entries:
        writer, dash, number = entry.name.removesuffix(".jsonl").rpartition("-")
        if entry.name.endswith(".jsonl") and dash and len(number) == _DIGITS and number.isdigit():
            last, size = found.get(writer, (0, 0))
            found[writer] = (max(last, int(number)), size + entry.stat().st_size)
    return found


def may_wait(data: bytes) -> bool:
    """Nothing but samples: they may gather for a while."""
    return all(b'"event":"rank.sampled"' in line for line in data.splitlines())


class Segments:
    """Seals one attempt's events. Raises OSError of the destination; call it again later then."""

    def __init__(self, spool: str, run_dir: str, attempt: str) -> None:
        self.source = os.path.join(layout.attempt_dir(spool, attempt), "events")
        self.run_dir, self.attempt = run_dir, attempt
        self.known: dict[str, tuple[int, int]] | None = None
        self.sealed_at: dict[str, float] = {}

    def seal(self, is_final: bool) -> int:
        """Seal what is new in every writer's file; bytes sealed. A torn last line waits for the end."""
        target = os.path.join(layout.attempt_dir(self.run_dir, self.attempt), "events")
        if self.known is None:
            os.makedirs(target, exist_ok=True)
            self.known = sealed(target)
        total = 0
        for name in sorted(os.listdir(self.source)):
            if name.endswith(".jsonl"):
                total += self._seal(name.removesuffix(".jsonl"), is_final)
        return total

    def _seal(self, writer: str, is_final: bool) -> int:
        assert self.known is not None
        number, offset = self.known.get(writer, (0, 0))
        path = os.path.join(self.source, f"{writer}.jsonl")
        if os.stat(path).st_size <= offset:
            return 0
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
        if not is_final:
            data = data[: data.rfind(b"\n") + 1]
            pause = min(_SLOWEST_S, number / 50)
            if not data or (time.monotonic() - self.sealed_at.get(writer, 0.0) < pause and may_wait(data)):
                return 0
        try:
            atomic_write(layout.segment_path(self.run_dir, self.attempt, writer, number + 1), data)
        except OSError:
            self.known = None  # was it named or not? the destination knows
            raise
        self.known[writer] = (number + 1, offset + len(data))
        self.sealed_at[writer] = time.monotonic()
        return len(data)

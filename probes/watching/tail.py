"""Follow files of event lines as they grow."""

import json
import os
from typing import Any


class Tails:
    """Reads what the ranks' hooks have written since the last call, over all attempts of a spool."""

    def __init__(self, spool: str, prefix: str = "rank-") -> None:
        self.root = os.path.join(spool, "attempts")
        self.prefix = prefix
        self.offsets: dict[str, int] = {}

    def read(self) -> list[dict[str, Any]]:
        """New whole lines, file by file; a line that is no JSON object is passed over, a torn one waits."""
        found: list[dict[str, Any]] = []
        for attempt in _names(self.root):
            folder = os.path.join(self.root, attempt, "events")
            for name in _names(folder):
                if name.startswith(self.prefix) and name.endswith(".jsonl"):
                    found += self._read(os.path.join(folder, name))
        return found

    def _read(self, path: str) -> list[dict[str, Any]]:
        offset = self.offsets.get(path, 0)
        try:
            if os.stat(path).st_size <= offset:
                return []
            with open(path, "rb") as file:
                file.seek(offset)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.offsets[path] = offset + len(whole)
        return [event for line in whole.splitlines() if (event := parse(line)) is not None]


def parse(line: bytes) -> dict[str, Any] | None:
    """One event line; None for anything else.

    >>> parse(b'{"event": "x"}'), parse(b"[1]"), parse(b'{"ev')
    ({'event': 'x'}, None, None)
    """
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []

"""What the machine says of the ranks: their memory groups' counters and the kernel's log, in `host/`."""

import json
import os
import time
from contextlib import suppress
from typing import Any

from probes import layout, memory
from probes.files import atomic_write
from probes.kernel import Kernel
from probes.watching.rank import Rank

_CHANGES = ("group", "oom_kill", "limit")  # a reading that differs in one of them is kept beside the last
_MOST = 50  # readings of one rank


class Host:
    """Reads are cheap and from /proc alone; files are written when there is news."""

    def __init__(self, spool: str) -> None:
        self.spool, self.kernel = spool, Kernel()
        self.groups: dict[int, memory.Group] = {}  # by pid: a dead rank's is still asked
        self.readings: dict[str, dict[int, list[dict[str, Any]]]] = {}  # attempt, rank

    def listen(self, attempt: str) -> None:
        """Keep what the kernel has said since the last call."""
        lines = self.kernel.read()
        path = os.path.join(self._folder(attempt), "kernel.log")
        if not self.kernel.reason and (lines or not os.path.exists(path)):
            with suppress(OSError), open(path, "a") as file:
                file.writelines(f"{line}\n" for line in lines)

    def read(self, one: Rank, is_dead: bool = False) -> None:
        """Read the counters of a rank's group; the last known one's where the rank is dead."""
        group = None if is_dead else memory.group_of(one.pid)
        group = group or self.groups.get(one.pid)
        if group is None or (counters := memory.counters(group))["oom_kill"] is None:
            return
        self.groups[one.pid] = group
        ours = self.readings.setdefault(one.attempt, {}).setdefault(one.rank, [])
        told = {"time": round(time.time(), 3), "rank": one.rank, "pid": one.pid, "dead": is_dead}
        reading = told | {"group": group.name, "folder": group.folder} | counters
        is_news = not ours or is_dead or any(ours[-1][key] != reading[key] for key in _CHANGES)
        if len(ours) > 1 and (not is_news or len(ours) >= _MOST):
            ours.pop()
        ours.append(reading)
        if is_news:
            self.write(one.attempt)

    def write(self, attempt: str) -> None:
        """Put the readings so far on disk."""
        rows = [row for _, rows in sorted(self.readings.get(attempt, {}).items()) for row in rows]
        if rows:
            document = {"version": 1, "readings": rows}
            with suppress(OSError):
                atomic_write(
                    os.path.join(self._folder(attempt), "cgroup.json"), json.dumps(document).encode()
                )

    def _folder(self, attempt: str) -> str:
        folder = os.path.join(layout.attempt_dir(self.spool, attempt), "host")
        with suppress(OSError):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        return folder

"""The memory that all processes of a job hold: what no kernel tells of in a container that is a sandbox."""

import math
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from probes import procfs

TOLD_AGAIN_S = 60.0
MOVED, LEAST = 0.02, 64 << 20  # part of what was told last, and bytes: less is no news


class Held:
    """`sample` is for every few seconds; it answers where there is something to say."""

    def __init__(self) -> None:
        self.rss, self.at = 0, -math.inf

    def sample(self, roots: Iterable[int], below: Mapping[int, list[int]], now: float) -> dict[str, Any]:
        """The data of `memory.sampled` of these processes and all below them; empty where nothing moved."""
        pids = tree(roots, below)
        rss = sum(stat.rss for pid in pids if (stat := procfs.stat(pid)) is not None)
        is_news = abs(rss - self.rss) >= max(LEAST, MOVED * self.rss)
        if not pids or not (is_news or now - self.at >= TOLD_AGAIN_S):
            return {}
        self.rss, self.at = rss, now
        return {"num_processes": len(pids), "rss": rss, "shm": shm_bytes()}


def tree(roots: Iterable[int], below: Mapping[int, list[int]]) -> set[int]:
    """
    >>> sorted(tree([2], {1: [2, 3], 2: [4], 4: [5]}))
    [2, 4, 5]
    """
    found, waiting = set[int](), list(roots)
    while waiting:
        pid = waiting.pop()
        if pid > 0 and pid not in found:
            found.add(pid)
            waiting += below.get(pid, [])
    return found


def shm_bytes() -> int | None:
    """What is used of shared memory: it counts, and may be in no process's figures."""
    with suppress(OSError):
        told = os.statvfs("/dev/shm")
        return (told.f_blocks - told.f_bfree) * told.f_frsize
    return None

"""A program's source as one of its processes sees it: which frames are its own, and what their files hold.

Read while the program runs, from files that may lie on a file system that does not answer: ask in a child.
"""

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from probes import procfs

_LARGEST, _FRAMES = 2 << 20, 24
_INSTALLED = ("site-packages", "dist-packages", "/lib/python", "/diagnose_rank/", "<")
Frame = dict[str, Any]
Thread = Mapping[str, Any]


def main_thread(threads: Sequence[Thread]) -> Thread:
    """The main thread, by its name or its id; the first one where none is known for it."""
    first = threads[0] if threads else {}
    return next((one for one in threads if is_main(one)), first)


def is_main(thread: Thread) -> bool:
    pid = thread.get("pid")
    named = thread.get("thread_name") == "MainThread"
    return named or (isinstance(pid, int) and thread.get("os_thread_id") == pid)


def own_frames(thread: Thread) -> list[Frame]:
    """A thread's frames in the program's own code, innermost first."""
    frames = [f for f in thread.get("frames") or () if isinstance(f, dict) and is_own(str(f.get("filename")))]
    return frames[:_FRAMES]


def is_own(path: str) -> bool:
    """Whether a file is the program's, not installed, not made up by an interpreter."""
    return not any(part in path for part in _INSTALLED)


def tree(path: str, pid: int) -> ast.Module | None:
    """What a file that a process names holds; None where it cannot be read, or is no Python."""
    return next((found for place in places(path, pid) if (found := parsed(place))), None)


def places(path: str, pid: int) -> Iterator[str]:
    """Where a file that a process names may be read from here: it may live in a container."""
    if os.path.isabs(path):
        yield procfs.seen_by(pid, path)
        yield path
    else:
        yield f"/proc/{pid}/cwd/{path}"


@cache
def parsed(place: str) -> ast.Module | None:
    try:
        with open(place, "rb") as file:
            return ast.parse(file.read(_LARGEST))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None

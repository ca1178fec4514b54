"""How large the compile caches of a rank are: growth is progress."""

import math
import os
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from probes import cache_places, deadline

_MAX_FILES = 20_000
_COST = 50  # walk again only after this many times what the last walk took
_PATIENCE_S, _LIMIT_S = (
    0.1,
    30.0,
)  # for an answer at once; for one at all: afterwards the folder is left alone


class Size(NamedTuple):
    """Files and bytes; both stop counting at a cap of 20,000 files."""

    files: int
    bytes: int


class Walk(NamedTuple):
    """A walk under way, since when (monotonic s)."""

    child: deadline.Child
    begun: float


def folders(environ: Mapping[str, str], user: str) -> list[str]:
    """The compiler's cache folders for a process with this environment.

    >>> folders({"TORCHINDUCTOR_CACHE_DIR": "/c", "TRITON_CACHE_DIR": "/c/triton"}, "me")
    ['/c']
    >>> folders({}, "me")
    ['/tmp/torchinductor_me']
    """
    found = [cache_places.inductor(environ, user)]
    triton = environ.get("TRITON_CACHE_DIR")
    if triton and not triton.startswith(found[0].rstrip("/") + "/"):
        found.append(triton)
    return found


def _sizes(folder: str) -> Iterator[int]:
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    with suppress(OSError):  # compilers name a draft anew
                        yield entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue


class Caches:
    """Remembers each folder's size, so that ranks that share one pay for one walk.

    Walks run in children: a file system that does not answer must not hold up the watch.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Size] = {}
        self.due: dict[str, float] = {}
        self.walks: dict[str, Walk] = {}

    def measure(self, paths: list[str], every_s: float) -> Size | None:
        """Size over all folders, some `every_s` seconds old (older where walking is dear); None: not yet."""
        for path in paths:
            self._follow(path, every_s)
        if any(path not in self.seen for path in paths):
            return None
        sizes = [self.seen[path] for path in paths]
        return Size(sum(one.files for one in sizes), sum(one.bytes for one in sizes))

    def _follow(self, path: str, every_s: float) -> None:
        now = time.monotonic()
        if path not in self.walks:
            if now < self.due.get(path, 0.0):
                return
            self.walks[path] = Walk(deadline.fork(lambda fd: _walk(fd, path)), now)
        walk = self.walks[path]
        if not select.select([walk.child.fd], [], [], _PATIENCE_S)[0]:
            if now - walk.begun > _LIMIT_S:
                self._end(path, math.inf)
            return
        told = os.read(walk.child.fd, 100).split()
        if len(told) == 3:
            self.seen[path] = Size(int(told[0]), int(told[1]))
        took = float(told[2]) if len(told) == 3 else 0.0
        self._end(path, walk.begun + max(every_s * 0.9, _COST * took))

    def _end(self, path: str, due: float) -> None:
        deadline.end(self.walks.pop(path).child)
        self.due[path] = due


def _walk(fd: int, path: str) -> None:
    begun, files, total = time.monotonic(), 0, 0
    for one in _sizes(path):
        files, total = files + 1, total + one
        if files >= _MAX_FILES:
            break
    os.write(fd, f"{files} {total} {time.monotonic() - begun:.6f}".encode())

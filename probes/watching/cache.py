"""How large the compile caches of a rank are: growth is progress."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_MAX_FILES = 20_000
_COST = 50  # walk again only after this many times what the last walk took


class Size(NamedTuple):
    """Files and bytes; both stop counting at a cap of 20,000 files."""

    files: int
    bytes: int


def folders(environ: Mapping[str, str], user: str) -> list[str]:
    """The compiler's cache folders for a process with this environment.

    >>> folders({"TORCHINDUCTOR_CACHE_DIR": "/c", "TRITON_CACHE_DIR": "/c/triton"}, "me")
    ['/c']
    >>> folders({"TMPDIR": "/t"}, "me")
    ['/t/torchinductor_me']
    """
    default = os.path.join(environ.get("TMPDIR") or "/tmp", f"torchinductor_{user}")
    found = [environ.get("TORCHINDUCTOR_CACHE_DIR") or default]
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
                    else:
                        yield entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue


class Caches:
    """Remembers each folder's size, so that ranks that share one pay for one walk."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[float, Size]] = {}

    def measure(self, paths: list[str], every_s: float) -> Size:
        """Size over all folders, at most `every_s` seconds old (older where walking is expensive)."""
        sizes = [self._one(path, every_s) for path in paths]
        return Size(sum(one.files for one in sizes), sum(one.bytes for one in sizes))

    def _one(self, path: str, every_s: float) -> Size:
        due, size = self.seen.get(path, (0.0, Size(0, 0)))
        begun = time.monotonic()
        if begun < due:
            return size
        files = total = 0
        for one in _sizes(path):
            files, total = files + 1, total + one
            if files >= _MAX_FILES:
                break
        size, now = Size(files, total), time.monotonic()
        self.seen[path] = (begun + max(every_s * 0.9, _COST * (now - begun)), size)
        return size

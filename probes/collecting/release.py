"""Gives back what the middle of a long log takes: a hole stays in the spool, which nobody reads any more."""

import ctypes
import os
from collections.abc import Sequence
from contextlib import suppress

from probes import procfs

_HOLE = 0x1 | 0x2  # FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
_STEP = 8 << 20


class Release:
    """Remembers how far each file was given back. Where the file system makes no holes, nothing happens."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.libc = ctypes.CDLL(None, use_errno=True)

    def until(self, path: str, end: int, readers: Sequence[int] | None = None) -> int:
        """Give back what lies before `end`, and what every reader has read; bytes given back.

        `readers` are processes one of which must have the file open; None: there are none.
        """
        begin = self.done.get(path, 0)
        if readers is not None and end - begin >= _STEP:
            stands = [positions(pid, path) for pid in readers]
            end = min([end, *(at for here in stands if here for at in here)])
            if None in stands or not any(stands):
                return 0
        if end - begin < _STEP:
            return 0
        with suppress(OSError):
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                size = [ctypes.c_long(number) for number in (begin, end - begin)]
                if self.libc.fallocate(fd, _HOLE, *size) == 0:
                    self.done[path] = end
                    return end - begin
            finally:
                os.close(fd)
        return 0


def positions(pid: int, path: str) -> list[int] | None:
    """Where a process stands in a file that it has open for reading alone; None where that cannot be seen."""
    links, found = procfs.fd_links(pid), list[int]()
    if links is None:
        return None
    for fd, target in links.items():
        if target == path:
            fields = (procfs.read(f"/proc/{pid}/fdinfo/{fd}") or b"").split()
            told = dict(zip(fields[::2], fields[1::2], strict=False))
            if told and int(told.get(b"flags:", b"0"), 8) & os.O_ACCMODE == os.O_RDONLY:
                found.append(int(told.get(b"pos:", b"0")))
    return found

"""See a process die at once, and how, without being its parent."""

import fcntl
import os
import struct
from typing import NamedTuple

from probes import procfs

_INFO_SIZE = 64  # struct pidfd_info up to exit_code, the first published size
_GET_INFO = (3 << 30) | (_INFO_SIZE << 16) | (0xFF << 8) | 11
_WITH_EXIT = 1 << 3


class Death(NamedTuple):
    """Exit code or signal, and who said so: pidfd_info, zombie or unknown (then both are None)."""

    exit_code: int | None
    signal: int | None
    via: str


def decode(status: int, via: str) -> Death:
    """A raw wait status in words.

    >>> decode(7 << 8, "zombie"), decode(9, "zombie").signal, decode(139, "zombie").signal
    (Death(exit_code=7, signal=None, via='zombie'), 9, 11)
    """
    if status & 0x7F:
        return Death(None, status & 0x7F, via)
    return Death(status >> 8 & 0xFF, None, via)


def open_pidfd(pid: int, start_ticks: int) -> int:
    """A pidfd of exactly this process; -1 where it has gone or the kernel has none."""
    try:
        fd = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1
    now = procfs.stat(pid)
    if now is None or start_ticks not in (0, now.start_ticks):
        os.close(fd)
        return -1
    return fd


def how(pid: int, pidfd: int, start_ticks: int) -> Death | None:
    """How it died; None while it lives. Works before and (Linux 6.15) after its parent has reaped it."""
    for _ in range(2):  # reaped between the two questions: ask the first once more
        if (told := _from_pidfd(pidfd)) is not None:
            return told
        now = procfs.stat(pid)
        if now is not None and now.start_ticks == start_ticks:
            if now.state not in "ZX":
                return None
            if procfs.tells_exit_codes() and _may_see(pid):
                return decode(now.exit_code, "zombie")
            return Death(None, None, "unknown")
    return Death(None, None, "unknown")


def _may_see(pid: int) -> bool:
    """Exit codes of other users' processes read as 0."""
    try:
        return os.geteuid() in (0, os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        return False


def _from_pidfd(pidfd: int) -> Death | None:
    if pidfd < 0:
        return None
    buffer = bytearray(struct.pack("<Q", _WITH_EXIT).ljust(_INFO_SIZE, b"\0"))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, buffer)
    except OSError:
        return None
    mask, status = *struct.unpack_from("<Q", buffer), *struct.unpack_from("<i", buffer, _INFO_SIZE - 4)
    return decode(status, "pidfd_info") if mask & _WITH_EXIT else None

"""The system call that a process's main thread is in, and the descriptors that it waits for there.

Read from /proc: memory is only read, nothing stops. Empty where the kernel does not tell.
"""

import os
import struct

from probes import procfs

# What is waited for, by the number of the system call: x86-64, arm64.
CALLS = {
    "x86_64": {
        **dict.fromkeys((0, 17, 19, 45, 47, 295), "read"),
        **dict.fromkeys((1, 18, 20, 44, 46, 296), "write"),
        **dict.fromkeys((43, 288), "accept"),
        **dict.fromkeys((7, 271), "poll"),
        **dict.fromkeys((232, 281, 441), "epoll"),
        **dict.fromkeys((257, 2, 85), "open"),
        **{42: "connect", 61: "wait", 247: "waitid", 72: "lock", 73: "lock"},
    },
    "aarch64": {
        **dict.fromkeys((63, 65, 67, 69, 207, 212), "read"),
        **dict.fromkeys((64, 66, 68, 70, 206, 211), "write"),
        **dict.fromkeys((202, 242), "accept"),
        **dict.fromkeys((22, 441), "epoll"),
        **{203: "connect", 260: "wait", 95: "waitid", 25: "lock", 32: "lock", 56: "open", 73: "poll"},
    },
}.get(os.uname().machine, dict[int, str]())
_WITHOUT_FOLDER = {2, 85} if os.uname().machine == "x86_64" else set[int]()  # their path comes first
_MOST, _PATH, _POLL = 16, 4096, struct.Struct("=ihh")
_OUT = 4  # POLLOUT, EPOLLOUT


def call(pid: int) -> tuple[str, list[int]]:
    """One of the values of `CALLS`, empty for any other call, and the arguments.

    A thread that runs is in none.
    """
    words = (procfs.word(pid, "syscall") or "").split()
    try:
        number, *arguments = (int(word, 0) for word in words[:7])
    except ValueError:
        return "", []
    if number in _WITHOUT_FOLDER:
        arguments = [0, *arguments[:5]]
    return CALLS.get(number, "") if len(arguments) == 6 else "", arguments


def memory(pid: int, address: int, size: int) -> bytes:
    """Bytes of a process's memory; fewer or none where they are refused."""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            file.seek(address)
            return file.read(size) or b""
    except (OSError, ValueError, OverflowError):
        return b""


def path(pid: int, address: int) -> str:
    """A path that a process handed to the kernel. It may end before the page that we may not read begins."""
    size = min(_PATH, 4096 - address % 4096)
    found, end, _ = memory(pid, address, size).partition(b"\0")
    return found.decode(errors="replace") if end else ""


def polled(pid: int, address: int, count: int) -> list[tuple[int, str]]:
    """The descriptors of a poll, each with `read` or `write`."""
    raw = memory(pid, address, min(count, _MOST) * _POLL.size)
    rows = _POLL.iter_unpack(raw[: len(raw) // _POLL.size * _POLL.size])
    return [(fd, direction(events)) for fd, events, _ in rows if fd >= 0]


def watched(pid: int, fd: int) -> list[tuple[int, str]]:
    """The descriptors of an epoll, as the kernel lists them."""
    return interests(procfs.fdinfo(pid, fd))[:_MOST]


def interests(lines: list[str]) -> list[tuple[int, str]]:
    """
    >>> interests(["pos:\\t0", "tfd:        5 events:       19 data:                5  pos:0 ino:1 sdev:d"])
    [(5, 'read')]
    """
    rows = [line.split() for line in lines if line.startswith("tfd:")]
    return [(int(row[1]), direction(int(row[3], 16))) for row in rows if len(row) > 3 and row[1].isdigit()]


def direction(events: int) -> str:
    return "write" if events & _OUT and not events & 1 else "read"

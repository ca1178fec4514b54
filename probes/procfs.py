"""The one module that reads /proc. Answers None or empty where a file is gone or thin (gVisor)."""

import os
import time
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_LINKS = 40
# The kernel hands these out in pieces, however much is asked for.
_IN_PIECES = ("environ", "cmdline", "/maps", "/mountinfo", "/net/unix")


class Stat(NamedTuple):
    """`/proc/PID/stat`, or one thread of it; times in seconds, rss in bytes, exit_code a raw wait status."""

    pid: int
    comm: str
    state: str
    ppid: int
    pgrp: int
    session: int
    cpu_s: float
    waited_cpu_s: float  # CPU of the children it has already waited for
    num_threads: int
    start_ticks: int
    rss: int
    exit_code: int


def read(path: str) -> bytes | None:
    """The whole file, or None where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, 65536)
        if len(data) < 65536 and not path.endswith(_IN_PIECES):
            return data
        while part := os.read(fd, 65536):
            data += part
        return data
    except OSError:
        return None
    finally:
        os.close(fd)


def head(path: str, limit: int) -> bytes | None:
    """The first `limit` bytes of a file; None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return None


def parse_stat(raw: bytes) -> Stat | None:
    """Parse a stat line; None for anything else. Thin lines (gVisor) get zeros for what they lack.

    >>> s = parse_stat(b"7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 100 50 0 0 20 0 3 0 99 0 2 ")
    >>> s.comm, s.state, s.ppid, s.num_threads, s.start_ticks
    ('a) b', 'S', 1, 3, 99)
    """
    opened, closed = raw.find(b"("), raw.rfind(b")")
    if opened < 1 or closed < opened:
        return None
    rest = raw[closed + 1 :].split()
    try:
        pid, state = int(raw[:opened]), rest[0].decode()
        field = [int(word) for word in rest[1:]] + [0] * max(0, 51 - len(rest))
    except (ValueError, IndexError):
        return None
    return Stat(
        pid,
        raw[opened + 1 : closed].decode(errors="replace"),
        state,
        field[0],
        field[1],
        field[2],
        (field[10] + field[11]) / _TICK,
        (field[12] + field[13]) / _TICK,
        field[16],
        field[18],
        max(0, field[20]) * _PAGE,
        field[48],
    )


def stat(pid: int, thread: int | None = None) -> Stat | None:
    """Stat of a process, or of one of its threads."""
    raw = read(f"/proc/{pid}/stat" if thread is None else f"/proc/{pid}/task/{thread}/stat")
    return parse_stat(raw) if raw else None


def pids() -> list[int]:
    """Every process that is visible here."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def uptime_s() -> float:
    """Seconds since boot; 0.0 where that cannot be read."""
    try:
        return float((read("/proc/uptime") or b"0").split()[0])
    except (ValueError, IndexError):
        return 0.0


def started(start_ticks: int) -> float:
    """When a process of this start time began, in monotonic seconds of ours."""
    return time.monotonic() - max(0.0, uptime_s() - start_ticks / _TICK)


def is_alive(pid: int, start_ticks: int) -> bool:
    """Is it still that process, and not a zombie? A start_ticks of 0 matches any."""
    now = stat(pid)
    return now is not None and now.state not in "ZX" and start_ticks in (0, now.start_ticks)


def parse_environ(raw: bytes) -> dict[str, str]:
    """NUL-separated NAME=value pairs; the first of a name counts, as in getenv.

    >>> parse_environ(b"RANK=3\\0A=b=c\\0junk\\0")
    {'RANK': '3', 'A': 'b=c'}
    """
    found: dict[str, str] = {}
    for pair in raw.split(b"\0"):
        name, is_pair, value = pair.partition(b"=")
        if is_pair:
            found.setdefault(name.decode(errors="replace"), value.decode(errors="replace"))
    return found


def environ(pid: int) -> dict[str, str]:
    """The environment the process was started with."""
    return parse_environ(read(f"/proc/{pid}/environ") or b"")


def cmdline(pid: int) -> list[str]:
    """The command line; empty for a zombie or a kernel thread."""
    raw = read(f"/proc/{pid}/cmdline") or b""
    return [word.decode(errors="replace") for word in raw.rstrip(b"\0").split(b"\0")] if raw else []


def threads(pid: int) -> list[Stat]:
    """One Stat a thread (its `pid` is the thread id)."""
    try:
        names = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [found for name in names if (found := stat(pid, int(name)))]


def parse_caught(raw: bytes) -> int | None:
    """The SigCgt mask of a status file; None where there is no such line (gVisor)."""
    for line in raw.splitlines():
        if line.startswith(b"SigCgt:"):
            try:
                return int(line[7:], 16)
            except ValueError:
                return None
    return None


def catches(pid: int, signum: int) -> bool | None:
    """Has the process a handler for this signal? None where that cannot be seen (gVisor)."""
    mask = parse_caught(read(f"/proc/{pid}/status") or b"")
    return None if mask is None else bool(mask >> (signum - 1) & 1)


def word(pid: int, name: str) -> str | None:
    """A one-line file such as `wchan` or `syscall`; None where it is refused or empty."""
    text = (read(f"/proc/{pid}/{name}") or b"").decode(errors="replace").strip()
    return text or None


def switches(pid: int, thread: int | None = None) -> int | None:
    """How often a thread (the main one) gave up its CPU to wait; None where the kernel does not tell."""
    for line in (read(f"/proc/{pid}/task/{thread or pid}/status") or b"").splitlines():
        if line.startswith(b"voluntary_ctxt_switches:"):
            return int(line.split()[1])
    return None


def last_ran_ms(folder: str) -> float | None:
    """When a thread last ran, on the scheduler's own clock; None in kernels without that file."""
    for line in (read(f"{folder}/sched") or b"").splitlines()[:6]:
        if line.startswith(b"se.exec_start"):
            return float(line.rpartition(b":")[2])
    return None


def fd_links(pid: int) -> dict[int, str] | None:
    """Open descriptors and what they point at; None where we may not see them."""
    links: dict[int, str] = {}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        return None
    except OSError:
        return links
    for name in names:
        try:
            links[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except PermissionError:
            return None
        except OSError:  # closed meanwhile: the others are open
            continue
    return links


def fdinfo(pid: int, fd: int) -> list[str]:
    """What the kernel lists of one descriptor; empty where it does not."""
    return (read(f"/proc/{pid}/fdinfo/{fd}") or b"").decode(errors="replace").splitlines()


def open_mode(pid: int, fd: int) -> int | None:
    """How a descriptor was opened: O_RDONLY, O_WRONLY or O_RDWR; None where that is not told."""
    for line in fdinfo(pid, fd):
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE
    return None


def own_pids(pid: int) -> list[int]:
    """The ids of a process in the namespaces that it is in, ours first."""
    for line in (read(f"/proc/{pid}/status") or b"").splitlines():
        if line.startswith(b"NSpid:"):
            return [int(word) for word in line.split()[1:]]
    return [pid]


def num_fds(pid: int) -> int | None:
    """How many descriptors a process has open; None where that is refused."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def max_fds(pid: int) -> int | None:
    """How many it may have open; None where there is no such limit, or no such line."""
    for line in (read(f"/proc/{pid}/limits") or b"").splitlines():
        if line.startswith(b"Max open files") and len(words := line.split()) > 3 and words[3].isdigit():
            return int(words[3])
    return None


def io_bytes(pid: int, thread: int | None = None) -> int | None:
    """Bytes that a process, or one thread, has read and written through system calls; None where refused."""
    raw = read(f"/proc/{pid}/io" if thread is None else f"/proc/{pid}/task/{thread}/io") or b""
    counts = dict(line.split(b": ", 1) for line in raw.splitlines() if b": " in line)
    try:
        return int(counts[b"rchar"]) + int(counts[b"wchar"])
    except (KeyError, ValueError):
        return None


def program(pid: int) -> str:
    """The name of the file it runs; empty where refused."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def is_gvisor(root: str = "") -> bool:
    """Is the kernel a sandbox's own? Then a file that is there may hold constants."""
    version = read(f"{root}/proc/version") or b""
    return (
        os.path.exists(f"{root}/proc/sentry-meminfo")
        or os.path.isdir(f"{root}/proc/gvisor")
        or b"Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016" in version
    )


def tells_exit_codes() -> bool:
    """Does stat carry real exit codes here? (gVisor prints zeros for the whole tail of the line.)"""
    raw = (read("/proc/self/stat") or b"").rpartition(b")")[2].split()
    return len(raw) > 23 and raw[23] != b"0"


def seen_by(pid: int, path: str) -> str:
    """Where a file lies for us that a process calls `path`: it may live in a container.

    Links are followed as it would: below /proc/PID/root an absolute one would lead into our own files.
    """
    root, done, left, num_links = f"/proc/{pid}/root", list[str](), path.split("/")[::-1], 0
    while left:
        name = left.pop()
        if name == "..":
            done = done[:-1]
        elif name not in ("", "."):
            try:
                link = os.readlink("/".join([root, *done, name]))
            except OSError:  # no link, or nothing there
                done.append(name)
                continue
            num_links += 1
            if num_links > _MAX_LINKS:
                return "/".join([root, *done, name, ""])  # opens as nothing
            done = [] if link.startswith("/") else done
            left += link.split("/")[::-1]
    return "/".join([root, *done])


def started_at(start_ticks: int) -> float:
    """When a process with this start time was started (unix s)."""
    for line in (read("/proc/stat") or b"").splitlines():
        if line.startswith(b"btime "):
            return float(line.split()[1]) + start_ticks / _TICK
    return 0.0

"""What the files of the kernel tell here: `/proc` of a process, memory groups, shared memory."""

import os
import tempfile
import time
from collections.abc import Iterator

from probes import deadline, memory, procfs
from probes.offered.item import Item, of_error

_OF_PROCESS = (
    *("stat", "status", "io", "wchan", "stack", "syscall", "sched", "schedstat", "environ", "maps"),
    *("smaps_rollup", "numa_maps", "limits", "cgroup", "net/unix", "net/tcp"),
)
_OF_HOST = ("vmstat", "pressure/memory", "meminfo", "loadavg", "diskstats", "interrupts")
_GROUP = (
    *("memory.current", "memory.max", "memory.high", "memory.peak", "memory.events", "memory.pressure"),
    *("cpu.max", "cpu.stat", "pids.max"),
)
_OLD_GROUP = ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control", "memory.failcnt")
_PLACEHOLDER = 1 << 50  # a size that no memory has
_SHM, _CGROUP = "/dev/shm", "/sys/fs/cgroup"


def items() -> Iterator[Item]:
    yield from of_proc()
    yield from cgroup()
    yield shm()


def of_proc() -> Iterator[Item]:
    """Files of a child that sleeps, and of the host."""
    child = deadline.fork(lambda fd: time.sleep(60) if os.write(fd, b".") else None)
    try:
        os.read(child.fd, 1)
        time.sleep(0.02)  # until it sleeps
        for name in _OF_PROCESS:
            yield readable(f"proc.{name.replace('/', '.')}", f"/proc/{child.pid}/{name}")
        has_codes = Item("proc.exit_codes", "present" if procfs.tells_exit_codes() else "absent")
        yield has_codes if has_codes.state == "present" else has_codes._replace(reason="stat ends in zeros")
    finally:
        deadline.end(child)
    for name in _OF_HOST:
        yield readable(f"proc.{name.replace('/', '.')}", f"/proc/{name}")


def readable(name: str, path: str) -> Item:
    """Whether a file tells anything: one that is empty, or no more than a 0, counts as refused."""
    try:
        with open(path, "rb") as file:
            data = file.read(4096)
    except OSError as error:
        return of_error(name, error)
    if data.strip() in (b"", b"0"):
        return Item(name, "refused", reason="it is there, and says nothing")
    return Item(name, "present")


def cgroup() -> Iterator[Item]:
    """The group of this process: its version, its files with what they hold."""
    if procfs.is_gvisor():
        yield Item("cgroup", "refused", reason="gVisor's own: its counts of kills are always zero")
        return
    group = memory.group_of(os.getpid())
    if group is None:
        why = "nothing is mounted there" if not os.path.isdir(_CGROUP) else "no memory group of ours is seen"
        yield Item("cgroup", "absent", reason=why)
        return
    yield Item("cgroup", "present", {"version": 1 if group.is_v1 else 2, "group": group.name})
    for name in _OLD_GROUP if group.is_v1 else _GROUP:
        text = procfs.head(os.path.join(group.folder, name), 2000)
        if text is None:
            yield Item(f"cgroup.{name}", "absent")
        else:
            yield Item(f"cgroup.{name}", "present", text.decode(errors="replace").strip())


def shm() -> Item:
    """Size and use of shared memory; a size that no machine has is a placeholder."""
    try:
        told = os.statvfs(_SHM)
        with tempfile.TemporaryFile(dir=_SHM) as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        return of_error("shm", error)
    size, used = told.f_blocks * told.f_frsize, (told.f_blocks - told.f_bfree) * told.f_frsize
    if size == 0 or size >= _PLACEHOLDER:
        return Item("shm", "refused", {"used": used}, f"statvfs gives a placeholder ({size} bytes)")
    return Item("shm", "present", {"size": size, "used": used})

"""What a host lets a run have, as its parent sees it: CPUs, memory, limits of processes, kernel."""

import os
import resource
from contextlib import suppress

from probes import procfs
from probes.cgroup_mounts import NO_LIMIT
from probes.checking import cgroups, limits
from probes.checking.memory_words import meminfo

UNLIMITED = "unlimited"
LIMITS = {
    "open_files": resource.RLIMIT_NOFILE,
    "locked_memory": resource.RLIMIT_MEMLOCK,
    "processes": resource.RLIMIT_NPROC,
    "stack": resource.RLIMIT_STACK,
}


def host() -> dict[str, str | int | float]:
    """Sizes in bytes; a limit that is none reads `unlimited`. What cannot be seen is not there."""
    found: dict[str, str | int | float] = {"kernel": os.uname().release, "cpus": cpus()}
    if memory := host_memory():
        found["memory"] = memory
    with suppress(OSError):
        room = os.statvfs("/dev/shm")
        found["shared_memory"] = room.f_blocks * room.f_frsize
    for name, which in LIMITS.items():
        soft, _ = limits.of(which)
        found[name] = UNLIMITED if soft is None else soft
    return found


def cpus() -> float:
    """Those it may run on, or as much time of them as its control groups give."""
    told = [cgroups.num_cpus(os.path.dirname(p)) for p in cgroups.files("cpu", "cpu.cfs_quota_us", "cpu.max")]
    return min([float(len(os.sched_getaffinity(0))), *(one for one in told if one is not None)])


def host_memory() -> int | None:
    """Of the machine, or of the strictest control group."""
    total = meminfo(procfs.read("/proc/meminfo") or b"").get("MemTotal")
    texts = [procfs.read(p) for p in cgroups.files("memory", "memory.limit_in_bytes", "memory.max")]
    told = [int(text) for text in texts if text and text.strip().isdigit() and int(text) < NO_LIMIT]
    return min([*told, *([total] if total else [])], default=None)

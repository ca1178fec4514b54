"""Memory cgroups: which one a process is in, its limit, and how often the kernel killed in it."""

import argparse
import os
import sys
from typing import NamedTuple

from probes import procfs
from probes.cgroup_mounts import NO_LIMIT, folder_of, parse_mounts
from probes.emit import open_log

_NAMES = {  # ours: v1's file, v2's file
    "limit": ("memory.limit_in_bytes", "memory.max"),
    "usage": ("memory.usage_in_bytes", "memory.current"),
    "peak": ("memory.max_usage_in_bytes", "memory.peak"),
}


class Group(NamedTuple):
    """One memory cgroup: the kernel's own name for it, and the folder in which it is seen here."""

    name: str
    folder: str
    is_v1: bool


def parse_names(raw: bytes) -> dict[bool, str]:
    """The names in a `/proc/PID/cgroup`: {True: v1's memory group, False: v2's group}.

    >>> parse_names(b"4:cpu,memory:/a/b\\n0::/c\\n")
    {True: '/a/b', False: '/c'}
    """
    found: dict[bool, str] = {}
    for line in raw.decode(errors="replace").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if "memory" in controllers.split(","):
            found[True] = name
        elif number == "0" and not controllers:
            found[False] = name
    return found


def group_of(pid: int) -> Group | None:
    """The memory cgroup of a process; None where none can be seen (or where the kernel's is not real)."""
    if procfs.is_gvisor() or not procfs.tells_exit_codes():
        return None
    names = parse_names(procfs.read(f"/proc/{pid}/cgroup") or b"")
    for mount in parse_mounts(procfs.read("/proc/self/mountinfo") or b""):
        folder = folder_of(names.get(mount.is_v1, ".."), mount)
        counts = os.path.join(folder, "memory.oom_control" if mount.is_v1 else "memory.events")
        if folder and os.path.exists(counts):
            return Group(names[mount.is_v1], folder, mount.is_v1)
    return None


def counters(group: Group) -> dict[str, int | None]:
    """`oom_kill` (processes of the group that the kernel killed), `limit`, `usage`, `peak`; None: unknown."""
    events = _keys(os.path.join(group.folder, "memory.oom_control" if group.is_v1 else "memory.events"))
    found = {"oom_kill": events.get("oom_kill")}
    for ours, names in _NAMES.items():
        value = _number(os.path.join(group.folder, names[0 if group.is_v1 else 1]))
        found[ours] = value if value is not None and value < NO_LIMIT else None
    return found


def _number(path: str) -> int | None:
    text = (procfs.read(path) or b"").strip()
    return int(text) if text.isdigit() else None


def _keys(path: str) -> dict[str, int]:
    pairs = (line.split() for line in (procfs.read(path) or b"").decode(errors="replace").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def main(argv: list[str] | None = None) -> int:
    """Read the memory cgroup of one process; prints event lines."""
    parser = argparse.ArgumentParser(prog="python -m probes.memory", description=main.__doc__)
    parser.add_argument("--pid", type=int, default=os.getpid(), help="the process (default: this one)")
    given = parser.parse_args(argv)
    log, group = open_log("memory"), group_of(given.pid)
    if group is None:
        log.warning("memory.refused", pid=given.pid, reason="no memory cgroup can be seen here")
    else:
        log.info("memory.read", pid=given.pid, group=group.name, folder=group.folder, **counters(group))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Files that hold a limit of a control group: of the one this process is in, and of those above it."""

import os
from collections.abc import Iterator

from probes import procfs
from probes.cgroup_mounts import folder_of, parse_mounts


def name(raw: bytes, controller: str, is_v1: bool) -> str:
    """The group's name in a `/proc/PID/cgroup`; `..`, which is nowhere, where there is none.

    >>> name(b"8:cpu,pids:/a/b\\n0::/c\\n", "pids", True), name(b"0::/c\\n", "pids", False)
    ('/a/b', '/c')
    """
    for line in raw.decode(errors="replace").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controller in controllers.split(",") if is_v1 else (number == "0" and not controllers):
            return group
    return ".."


def files(controller: str, v1_file: str, v2_file: str) -> Iterator[str]:
    """Those that are there, the innermost group's first: the strictest of them counts."""
    own = procfs.read("/proc/self/cgroup") or b""
    for mount in parse_mounts(procfs.read("/proc/self/mountinfo") or b"", controller):
        folder = folder_of(name(own, controller, mount.is_v1), mount)
        top, found = mount.point.rstrip("/"), False
        while folder.startswith(top):
            path = os.path.join(folder, v1_file if mount.is_v1 else v2_file)
            if os.path.exists(path):
                found = True
                yield path
            folder = os.path.dirname(folder)
        if found:
            return


def is_root(controller: str) -> bool:
    """Whether this process is in the topmost group of a hierarchy that is seen here: that has no limits."""
    own = procfs.read("/proc/self/cgroup") or b""
    for mount in parse_mounts(procfs.read("/proc/self/mountinfo") or b"", controller)[:1]:
        is_seen = os.path.exists(os.path.join(mount.point, "cgroup.procs"))
        return is_seen and (mount.root, name(own, controller, mount.is_v1)) == ("/", "/")
    return False


def counts(path: str) -> dict[str, int]:
    """The numbers of a file of `name number` lines, such as `cpu.stat`; empty where it cannot be read."""
    pairs = (line.split() for line in (procfs.read(path) or b"").decode(errors="replace").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def num_cpus(folder: str) -> float | None:
    """How many CPUs' time a group may use; None: as many as there are.

    >>> num_cpus("/no/such")
    """
    quota, period = [*(procfs.read(f"{folder}/cpu.max") or b"").split(), b"", b""][:2]
    quota = quota or (procfs.read(f"{folder}/cpu.cfs_quota_us") or b"").strip()
    period = period or (procfs.read(f"{folder}/cpu.cfs_period_us") or b"").strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None

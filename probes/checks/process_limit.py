"""How many processes and threads may be started: by the user, and in the control group."""

import math
import os
import resource

from probes import procfs
from probes.checking import cgroups, limits
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check()


def measure(target: Target) -> list[Measurement]:
    return [of_user(), of_group()]


def of_user() -> Measurement:
    soft, _ = limits.of(resource.RLIMIT_NPROC)
    is_bound = os.geteuid() != 0  # the kernel holds nobody with root's rights to it
    return measured(
        "user",
        "getrlimit(RLIMIT_NPROC)",
        is_unlimited=soft is None or not is_bound,
        num_allowed=soft,
    )


def of_group() -> Measurement:
    found: dict[str, int | None] = {}
    for path in cgroups.files("pids", "pids.max", "pids.max"):
        text = (procfs.read(path) or b"").strip().decode(errors="replace")
        if text == "max" or text.isdigit():
            found[path] = int(text) if text.isdigit() else None
    if not found:
        where = "/proc/self/cgroup"
        if cgroups.is_root("pids"):  # which has no such file, and no limit
            return measured("control group", where, is_unlimited=True, num_allowed=None)
        return skipped("control group", where, "the control group does not tell")
    path, allowed = min(found.items(), key=lambda item: math.inf if item[1] is None else item[1])
    return measured("control group", path, is_unlimited=allowed is None, num_allowed=allowed)

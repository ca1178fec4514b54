"""How many processes and threads may be started: by the user, and in the control group."""

import os
import resource

from probes import procfs
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check()
FILES = ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max")  # v1, v2


def measure(target: Target) -> list[Measurement]:
    return [of_user(), of_group()]


def of_user() -> Measurement:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    is_unlimited = soft == resource.RLIM_INFINITY
    is_bound = os.geteuid() != 0  # the kernel holds nobody with root's rights to it
    return measured(
        "user",
        "getrlimit(RLIMIT_NPROC)",
        is_unlimited=is_unlimited or not is_bound,
        num_allowed=None if is_unlimited else soft,
    )


def of_group() -> Measurement:
    for path in FILES:
        text = (procfs.read(path) or b"").strip().decode(errors="replace")
        if text == "max" or text.isdigit():
            allowed = int(text) if text.isdigit() else None
            return measured("control group", path, is_unlimited=allowed is None, num_allowed=allowed)
    return skipped("control group", FILES[-1], "the control group does not tell")

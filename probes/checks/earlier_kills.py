"""How often the kernel has killed here for memory before this run: later counts start from there."""

from probes.checking import cgroups
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check()
HOST = "/proc/vmstat"


def measure(target: Target) -> list[Measurement]:
    """Of this control group; the whole host's count is beside it."""
    host = cgroups.counts(HOST).get("oom_kill")
    for path in cgroups.files("memory", "memory.oom_control", "memory.events"):
        if "oom_kill" in (told := cgroups.counts(path)):
            return [measured("control group", path, num_kills=told["oom_kill"], num_kills_of_host=host)]
    if cgroups.is_root("memory") and host is not None:
        return [measured("host", HOST, num_kills=host, num_kills_of_host=host)]
    return [skipped("control group", "/proc/self/cgroup", "the control group does not count kills")]

"""Processes that ended and were not collected, above all those that NVML still has on a GPU."""

from probes import procfs
from probes.checking import machine
from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.CHECK._replace(needs=())


def measure(target: Target) -> list[Measurement]:
    dead = {pid: told.comm for pid in procfs.pids() if (told := procfs.stat(pid)) and told.state in "ZX"}
    holders: set[int] | None = None
    if machine.see().num_gpus:
        asked = reading.answers(target)
        lists = [asked.of("processes", gpu) for gpu in asked.gpus]
        if lists and None not in lists:
            holders = {one["pid"] for told in lists for one in told}
    who = ", ".join(f"{pid} {name}" for pid, name in sorted(dead.items())[:8])
    return [
        measured(
            "host",
            "/proc/*/stat, nvmlDeviceGetComputeRunningProcesses",
            num_zombies=len(dead),
            num_on_gpus=None if holders is None else len(holders & dead.keys()),
            who=who,
        )
    ]

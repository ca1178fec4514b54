"""Who computes on the GPUs already."""

import os

from probes import procfs
from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import reading

CHECK = reading.CHECK
WHERE = "nvmlDeviceGetComputeRunningProcesses"


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    found, ours = reading.silence(asked), family(os.getpid())
    for gpu in asked.gpus:
        told = asked.of("processes", gpu)
        if told is None:
            found.append(skipped(f"gpu {gpu}", WHERE, reading.reason(asked, "processes", gpu)))
            continue
        strangers = [one for one in told if one["pid"] not in ours]
        sizes = [one["used_bytes"] for one in strangers]
        found.append(
            measured(
                f"gpu {gpu}",
                WHERE,
                num_strangers=len(strangers),
                most_bytes=max((size for size in sizes if size is not None), default=0),
                who=", ".join(f"{one['pid']} {procfs.program(one['pid'])}".strip() for one in strangers),
            )
        )
    return found


def family(pid: int) -> set[int]:
    """This process and those above it: what the pre-flight itself was started by."""
    found = {pid}
    while (told := procfs.stat(pid)) and told.ppid > 1 and told.ppid not in found:
        pid = told.ppid
        found.add(pid)
    return found

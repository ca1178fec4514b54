"""What `/proc` tells of a process here: it decides which evidence of a hang there can be."""

import os

from probes import procfs
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
FILES = ("stack", "wchan", "syscall", "sched", "io", "environ", "cgroup", "fd", "task")


def measure(target: Target) -> list[Measurement]:
    told = {f"has_{name}": tells(name) for name in FILES}
    lacking = ", ".join(name for name in FILES if not told[f"has_{name}"])
    return [measured("host", "/proc/self", **told, lacking=lacking)]


def tells(name: str) -> bool:
    path = f"/proc/self/{name}"
    return bool(os.path.isdir(path) and os.listdir(path)) or bool(procfs.read(path))

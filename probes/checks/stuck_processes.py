"""Processes that the kernel does not let go, look after look: a driver or a disk that hangs.

One that merely reads much is in the same state at every look, but runs in between: its switches are counted.
"""

import os
import time

from probes import procfs
from probes.checking import lanes
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
NUM_LOOKS, BETWEEN_S = 5, 0.2
KERNEL_THREADS = 2  # their parent


def measure(target: Target) -> list[Measurement]:
    stuck = waiting()
    for _ in range(NUM_LOOKS - 1):
        if not stuck:
            break
        time.sleep(BETWEEN_S)
        stuck = {key: name for key, name in waiting().items() if key in stuck}
    who = ", ".join(f"{key[0]} {name}" for key, name in stuck.items())
    return [measured("host", f"/proc/*/stat, {NUM_LOOKS} looks", num_stuck=len(stuck), who=who)]


def waiting() -> dict[tuple[int, int, int | None], str]:
    """What is in state D now: the driver's own threads, and processes of this user, without other checks."""
    found, others = {}, set(lanes.descendants(os.getppid()))
    for pid in procfs.pids():
        if pid in others:
            continue
        told = procfs.stat(pid)
        if told and told.state == "D" and (told.comm.lower().startswith(("nvidia", "nv_")) or is_ours(told)):
            found[pid, told.start_ticks, procfs.switches(pid)] = told.comm
    return found


def is_ours(told: procfs.Stat) -> bool:
    if KERNEL_THREADS in (told.pid, told.ppid):
        return False
    try:
        return os.stat(f"/proc/{told.pid}").st_uid == os.getuid()
    except OSError:
        return False

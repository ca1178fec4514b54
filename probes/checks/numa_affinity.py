"""Whether this process may run on the CPUs that are near each GPU."""

import os

from probes import procfs
from probes.checking import machine
from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import reading

CHECK = reading.CHECK
WHERE = "nvmlDeviceGetCpuAffinity, sched_getaffinity"
ONLINE = "/sys/devices/system/cpu/online"


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    found, allowed, online = reading.silence(asked), os.sched_getaffinity(0), online_cpus()
    for gpu in asked.gpus:
        near = asked.of("cpus", gpu)
        here = set(near or ()) & online
        if near is None or not here:
            why = (
                reading.reason(asked, "cpus", gpu) if near is None else "the CPUs near it are not online here"
            )
            found.append(skipped(f"gpu {gpu}", WHERE, why))
            continue
        found.append(
            measured(
                f"gpu {gpu}",
                WHERE,
                num_near=len(here),
                num_near_allowed=len(here & allowed),
                is_pinned=not allowed >= online,
            )
        )
    return found


def online_cpus() -> set[int]:
    """CPUs that the kernel runs on.

    >>> cpus("0-2,8")
    {0, 1, 2, 8}
    """
    text = (procfs.read(machine.top() + ONLINE) or b"").decode(errors="replace").strip()
    return cpus(text) or set(range(os.cpu_count() or 1))


def cpus(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(",")[:4096]:
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found |= set(range(int(first), min(int(last or first), 1 << 16) + 1))
    return found

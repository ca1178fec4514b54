"""How often the control group has used up its CPU time and was held back."""

import os
import time

from probes.checking import cgroups
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check()
WINDOW_S = 0.5  # while other checks are made: somebody wants the CPU


def measure(target: Target) -> list[Measurement]:
    """Of ours and those above, the one that was held back most."""
    paths = [*cgroups.files("cpu", "cpu.stat", "cpu.stat")]
    before = {path: cgroups.counts(path) for path in paths}
    before = {path: told for path, told in before.items() if "nr_throttled" in told}
    if not before:
        if cgroups.is_root("cpu"):
            return [measured("control group", "/proc/self/cgroup", is_limited=False, throttled_share=0.0)]
        return [skipped("control group", "/proc/self/cgroup", "the control group does not tell")]
    time.sleep(WINDOW_S)
    found = [of(path, told, cgroups.counts(path)) for path, told in before.items()]
    return [max(found, key=lambda one: one.values["throttled_share"] or 0.0)]


def of(path: str, before: dict[str, int], after: dict[str, int]) -> Measurement:
    return measured(
        "control group",
        path,
        is_limited=cgroups.num_cpus(os.path.dirname(path)) is not None,
        throttled_share=share(before, after),
        throttled_share_before=share({}, before),
        window_s=WINDOW_S,
    )


def share(before: dict[str, int], after: dict[str, int]) -> float:
    """
    >>> share({"nr_periods": 10, "nr_throttled": 1}, {"nr_periods": 20, "nr_throttled": 6})
    0.5
    """
    periods = after.get("nr_periods", 0) - before.get("nr_periods", 0)
    held = after.get("nr_throttled", 0) - before.get("nr_throttled", 0)
    return round(max(0, held) / periods, 4) if periods > 0 else 0.0

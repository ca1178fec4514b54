"""How fast each GPU copies within its own memory."""

from statistics import median

from probes.checking import bandwidth, trial
from probes.checking.check import Measurement, Target, Value
from probes.checking.gpu_times import of_each
from probes.checking.trial_files import Said

CHECK = trial.follower("deep", ("gpu",))


def measure(target: Target) -> list[Measurement]:
    return of_each(target, "memory", speed)


def speed(line: Said) -> dict[str, Value]:
    return {"hbm_gbps": round(line["num_bytes"] / median(line["seconds"]) / bandwidth.GB, 1)}

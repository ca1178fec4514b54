"""How fast each GPU copies from and to locked memory of the host."""

from statistics import median

from probes.checking import bandwidth, trial
from probes.checking.check import Measurement, Target, Value
from probes.checking.gpu_times import of_each
from probes.checking.trial_files import Said

CHECK = trial.follower("deep", ("gpu",))


def measure(target: Target) -> list[Measurement]:
    return of_each(target, "host_copy", speed)


def speed(line: Said) -> dict[str, Value]:
    return {
        "h2d_gbps": round(line["num_bytes"] / median(line["to_device"]) / bandwidth.GB, 1),
        "d2h_gbps": round(line["num_bytes"] / median(line["to_host"]) / bandwidth.GB, 1),
    }

"""How fast each GPU copies from and to locked memory of the host."""

from statistics import median

from probes.checking import bandwidth, trial
from probes.checking.check import Measurement, Target, measured, skipped
from probes.checking.trial_files import Said

CHECK = trial.follower("deep", ("gpu",))


def measure(target: Target) -> list[Measurement]:
    return [of_gpu(line) for line in trial.held(target).of("host_copy")]


def of_gpu(line: Said) -> Measurement:
    subject, where = f"gpu {line['index']}", "timed calls in the trial"
    if line.get("refusal"):
        return skipped(subject, where, line["refusal"])
    return measured(
        subject,
        where,
        h2d_gbps=round(line["num_bytes"] / median(line["to_device"]) / bandwidth.GB, 1),
        d2h_gbps=round(line["num_bytes"] / median(line["to_host"]) / bandwidth.GB, 1),
        gpu_model=line["model"],
        num_gpus=line["num_gpus"],
    )

"""How fast each GPU copies within its own memory."""

from statistics import median

from probes.checking import bandwidth, trial
from probes.checking.check import Measurement, Target, measured, skipped
from probes.checking.trial_files import Said

CHECK = trial.follower("deep", ("gpu",))


def measure(target: Target) -> list[Measurement]:
    return [of_gpu(line) for line in trial.held(target).of("memory")]


def of_gpu(line: Said) -> Measurement:
    subject, where = f"gpu {line['index']}", "timed calls in the trial"
    if line.get("refusal"):
        return skipped(subject, where, line["refusal"])
    return measured(
        subject,
        where,
        hbm_gbps=round(line["num_bytes"] / median(line["seconds"]) / bandwidth.GB, 1),
        gpu_model=line["model"],
        num_gpus=line["num_gpus"],
    )

"""How fast each GPU multiplies matrices in bfloat16."""

from statistics import median

from probes.checking import bandwidth, trial
from probes.checking.check import Measurement, Target, Value
from probes.checking.gpu_times import of_each
from probes.checking.trial_files import Said

CHECK = trial.follower("deep", ("gpu",))


def measure(target: Target) -> list[Measurement]:
    return of_each(target, "gemm", speed)


def speed(line: Said) -> dict[str, Value]:
    return {"gemm_bf16_tflops": bandwidth.gemm_tflops(line["width"], median(line["seconds"]))}

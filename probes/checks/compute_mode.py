"""Whether processes may compute on each GPU, and how many of them."""

from probes.checking.check import Measurement, Target, Value
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    per_gpu = target.num_ranks / target.num_gpus if target.num_ranks and target.num_gpus else None

    def read(told: dict[str, str]) -> dict[str, Value]:
        return {"mode": told["mode"], "ranks_per_gpu": per_gpu}

    return reading.of_gpus(reading.answers(target), "compute_mode", "nvmlDeviceGetComputeMode", read)

"""Whether each GPU computes right: the same product again and again, compared bit by bit with the CPU's."""

from probes.checking.check import Measurement, Target, measured
from probes.cuda import loading
from probes.nvml import reading

CHECK = loading.CHECK


def measure(target: Target) -> list[Measurement]:
    said = loading.loaded(target)
    return reading.silence(reading.answers(target)) or [
        measured(
            f"gpu {gpu}",
            "torch.matmul of whole numbers in a child",
            num_rounds=told.get("num_rounds"),
            num_wrong=told.get("num_wrong"),
            error=told.get("error"),
        )
        for gpu, told in said.items()
    ]

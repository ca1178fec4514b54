"""Whether a device's number means the same GPU to CUDA as to the driver."""

from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.OF_PAIRS


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    models = {asked.of("name", gpu) for gpu in asked.gpus} - {None}
    order = target.environ.get("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    return reading.silence(asked) or [
        measured("host", "CUDA_DEVICE_ORDER, nvmlDeviceGetName", order=order, num_models=len(models))
    ]

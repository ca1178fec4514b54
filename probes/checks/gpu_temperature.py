"""How warm each GPU is, and how far from where its clocks are cut."""

from probes.checking.check import Measurement, Target
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked, where = reading.answers(target), "nvmlDeviceGetTemperature, nvmlDeviceGetMarginTemperature"
    return reading.with_idle(asked, reading.of_gpus(asked, "temperature", where))

"""How warm each GPU is, and how far from where its clocks are cut."""

from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    found = reading.of_gpus(asked, "temperature", "nvmlDeviceGetTemperature, nvmlDeviceGetMarginTemperature")
    return [one if one.skip else with_idle(one, asked.of("reasons", num)) for num, one in enumerate(found)]


def with_idle(one: Measurement, reasons: dict[str, bool] | None) -> Measurement:
    is_idle = reasons["is_idle"] if reasons else None
    return measured(one.subject, one.where, **one.values, is_idle=is_idle)

"""How many memory errors were corrected while the checks ran."""

from typing import Any

from probes.checking.check import Measurement, Target, Value
from probes.nvml import reading

CHECK = reading.OVER_TIME


def measure(target: Target) -> list[Measurement]:
    where = "nvmlDeviceGetTotalEccErrors(corrected), twice"
    return reading.of_gpus(reading.changes(target), "changed", where, rate)


def rate(told: dict[str, Any]) -> dict[str, Value]:
    num, interval_s = told["corrected_errors"], told["interval_s"]
    return {
        "num_corrected": num,
        "interval_s": interval_s,
        "corrected_per_s": None if num is None else num / max(interval_s, 1.0),
    }

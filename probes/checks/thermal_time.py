"""How long heat held the clocks down while the checks ran."""

from typing import Any

from probes.checking.check import Value
from probes.nvml import reading

CHECK = reading.OVER_TIME


def share(told: dict[str, Any]) -> dict[str, Value]:
    slowed_ns, interval_s = told["thermal_ns"], told["interval_s"]
    slowed = None if slowed_ns is None else slowed_ns / 1e9 / max(interval_s, 0.001)
    return {"slowed_share": slowed, "interval_s": interval_s}


measure = reading.change_check("nvmlDeviceGetViolationStatus(thermal), twice", share)

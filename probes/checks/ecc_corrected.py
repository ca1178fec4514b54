"""How many memory errors were corrected while the checks ran."""

from typing import Any

from probes.checking.check import Value
from probes.nvml import reading

CHECK = reading.OVER_TIME


def rate(told: dict[str, Any]) -> dict[str, Value]:
    num, interval_s = told["corrected_errors"], told["interval_s"]
    return {
        "num_corrected": num,
        "interval_s": interval_s,
        "corrected_per_s": None if num is None else num / max(interval_s, 1.0),
    }


measure = reading.change_check("nvmlDeviceGetTotalEccErrors(corrected), twice", rate)

"""What is wrong with each GPU's part of the NVLink fabric."""

from probes.checking.check import Measurement, Target, skipped
from probes.nvml import reading

CHECK = reading.CHECK
KNOWN_BY = (
    "has_degraded_bandwidth",
    "is_recovering_route",
    "has_unhealthy_route",
    "is_recovering_access",
    "is_misconfigured",
)


def measure(target: Target) -> list[Measurement]:
    found = reading.of_gpus(reading.answers(target), "fabric", "nvmlDeviceGetGpuFabricInfoV: healthMask")
    return [
        skipped(one.subject, one.where, "this GPU does not tell") if is_mute(one) else one for one in found
    ]


def is_mute(one: Measurement) -> bool:
    told = one.values
    return not one.skip and told["summary"] == "not_supported" and all(told[key] is None for key in KNOWN_BY)

"""Whether each GPU has joined the NVLink fabric of its board."""

from probes.checking.check import Measurement, Target, skipped
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    found = reading.of_gpus(reading.answers(target), "fabric", "nvmlDeviceGetGpuFabricInfoV")
    return [
        skipped(one.subject, one.where, "no fabric of NVSwitches")
        if one.values.get("state") == "not_supported"
        else one
        for one in found
    ]

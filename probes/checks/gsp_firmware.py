"""Whether the GPUs' system processors run, all with one firmware."""

from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    found = reading.of_gpus(asked, "gsp", "nvmlDeviceGetGspFirmwareVersion")
    versions = {one.values["version"] for one in found if not one.skip}
    return [
        one if one.skip else measured(one.subject, one.where, **one.values, num_versions=len(versions))
        for one in found
    ]

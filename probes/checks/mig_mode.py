"""Whether a GPU is cut into instances, between which nothing can be exchanged directly."""

from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    several = (target.num_gpus or len(asked.gpus)) > 1
    found = reading.of_gpus(asked, "mig", "nvmlDeviceGetMigMode")
    return [
        one if one.skip else measured(one.subject, one.where, **one.values, has_several_gpus=several)
        for one in found
    ]

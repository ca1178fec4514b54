"""Whether the GPUs keep their memory encrypted, even from each other."""

from probes.checking.check import Measurement, Target
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    return reading.of_system(
        asked, "confidential", "nvmlSystemGetConfComputeState", lambda is_on: {"is_on": is_on}
    )

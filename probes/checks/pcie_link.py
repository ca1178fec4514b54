"""Whether each GPU's PCIe link is as wide and as fast as it can be."""

from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    """A link may rest at a lower generation: that counts under load alone."""
    asked = reading.answers(target)
    found = reading.of_gpus(
        asked, "pcie", "nvmlDeviceGetCurrPcieLinkWidth, nvmlDeviceGetCurrPcieLinkGeneration"
    )
    idle = [(asked.of("reasons", num) or {}).get("is_idle") for num in range(len(found))]
    return [
        one if one.skip else measured(one.subject, one.where, **one.values, is_idle=is_idle)
        for one, is_idle in zip(found, idle, strict=True)
    ]

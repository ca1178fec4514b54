"""Whether each GPU's PCIe link is as wide and as fast as it can be."""

from probes.checking.check import Measurement, Target
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    """A link may rest at a lower generation: that counts under load alone."""
    asked, where = (
        reading.answers(target),
        "nvmlDeviceGetCurrPcieLinkWidth, nvmlDeviceGetCurrPcieLinkGeneration",
    )
    return reading.with_idle(asked, reading.of_gpus(asked, "pcie", where))

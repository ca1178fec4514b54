"""Whether CUDA lets each GPU reach the memory of each other one, as torch asks it."""

from probes.checking.check import Measurement, Target, measured
from probes.cuda import reading
from probes.nvml import reading as nvml

CHECK = reading.OF_PAIRS


def measure(target: Target) -> list[Measurement]:
    said, silent = reading.of(target)
    has_switches = nvml.has_switches(nvml.answers(target))
    access = {(one, other): can for one, other, can in said.get("peers", [])}
    return silent or [
        measured(
            f"gpu {one} - gpu {other}",
            "torch.cuda.can_device_access_peer",
            can_access=can and access.get((other, one), can),
            has_switches=has_switches,
        )
        for (one, other), can in access.items()
        if one < other
    ]

"""Whether a GPU can send to several others at once (NVLS), where the board has switches for it."""

from probes.checking.check import Measurement, Target, measured
from probes.cuda import reading
from probes.nvml import reading as nvml

CHECK = reading.OF_PAIRS


def measure(target: Target) -> list[Measurement]:
    said, silent = reading.of(target)
    has_switches = nvml.has_switches(nvml.answers(target))
    return silent or [
        measured(
            f"gpu {num}",
            "cuDeviceGetAttribute(MULTICAST_SUPPORTED)",
            has_multicast=one["has_multicast"],
            has_switches=has_switches,
            is_hopper_or_newer=one["major"] >= 9,
        )
        for num, one in enumerate(said["devices"])
    ]

"""Whether the driver is new enough for the CUDA that torch was built with."""

import re

from probes.checking.check import Measurement, Target, measured, skipped
from probes.cuda import reading
from probes.nvml import reading as nvml

CHECK = reading.CHECK
WHERE = "nvmlSystemGetDriverVersion, torch.version.cuda"


def measure(target: Target) -> list[Measurement]:
    said, asked = reading.facts(target), nvml.answers(target)
    driver, cuda = asked.of("driver"), said.get("cuda")
    if driver is None:
        return nvml.silence(asked) or [skipped("host", WHERE, nvml.reason(asked, "driver", -1))]
    if "torch" not in said:
        return [skipped("host", WHERE, said["error"])]
    return [
        measured(
            "host",
            WHERE,
            driver=driver,
            driver_major=first(driver),
            cuda=cuda,
            cuda_major=first(cuda or "0"),
            has_compatibility_library=any("compat" in path for path in said.get("libraries", [])),
            error=said["error"],
        )
    ]


def first(version: str) -> int | None:
    """The number that a version begins with."""
    found = re.match(r"\d{1,6}", version)
    return int(found[0]) if found else None

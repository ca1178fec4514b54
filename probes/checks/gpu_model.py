"""Whether each GPU is of the model that was asked for, with the memory that the model has."""

import re

from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    found = reading.silence(asked)
    for gpu in asked.gpus:
        name, memory = asked.of("name", gpu), asked.of("memory", gpu)
        where = "nvmlDeviceGetName, nvmlDeviceGetMemoryInfo"
        if name is None:
            found.append(skipped(f"gpu {gpu}", where, reading.reason(asked, "name", gpu)))
            continue
        found.append(
            measured(
                f"gpu {gpu}",
                where,
                gpu_model=name,
                total_bytes=memory["total_bytes"] if memory else None,
                is_as_asked=is_model(name, target.gpu) if target.gpu else None,
                is_pinned=target.is_pinned,
            )
        )
    return found


def is_model(name: str, asked: str) -> bool:
    """Whether a GPU's name has every part of what was asked for, each as a whole.

    >>> is_model("NVIDIA H100 80GB HBM3", "H100"), is_model("NVIDIA GH200 480GB", "H200")
    (True, False)
    >>> is_model("NVIDIA A100-SXM4-80GB", "A100-80GB"), is_model("NVIDIA H200", "h100+")
    (True, False)
    """
    parts = re.findall(r"[a-z0-9]+", asked.lower())
    return all(re.search(rf"(?<![a-z0-9]){part}(?![a-z0-9])", name.lower()) for part in parts)

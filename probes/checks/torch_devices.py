"""Whether torch sees every GPU that is visible, and each once."""

from probes.checking.check import Measurement, Target, measured
from probes.cuda import reading
from probes.nvml import reading as nvml

CHECK = reading.OF_PAIRS


def measure(target: Target) -> list[Measurement]:
    said, silent = reading.of(target)
    if silent:
        return silent
    uuids = [one["uuid"] for one in said["devices"] if one["uuid"]]
    return [
        measured(
            "host",
            reading.WHERE,
            num_seen=len(said["devices"]),
            num_twice=len(uuids) - len(set(uuids)) if uuids else None,
            num_missing=expected(target) - len(said["devices"]),
        )
    ]


def expected(target: Target) -> int:
    """How many devices there are to see: those asked for; else all, or as many as the variable names."""
    named = [part for part in target.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    return target.num_gpus or len(named) or nvml.answers(target).num_gpus

"""How many GPUs there are: asked for, seen by NVML where the job may see them, and as device nodes."""

from probes.checking import machine
from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.CHECK


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    nodes = machine.see().num_gpus or None
    seen = len(asked.gpus)
    return reading.silence(asked) or [
        measured(
            "host",
            "nvmlDeviceGetCount, /dev/nvidia[0-9]*",
            num_asked=target.num_gpus or None,
            num_seen=seen,
            num_nodes=nodes,
            num_missing=target.num_gpus - seen if target.num_gpus else None,
            num_nodes_not_seen=nodes - asked.num_gpus if nodes else None,
        )
    ]

"""How many GPUs there are: asked for, seen by NVML where the job may see them, and as device nodes."""

import errno
import os
import re

from probes import deadline
from probes.checking import machine
from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading

CHECK = reading.CHECK
LIMIT_S = 3.0
NOT_OURS = {errno.EPERM, errno.EACCES}  # a control group (Slurm's) keeps the GPUs of others from us


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    nodes = num_open()
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


def num_open() -> int | None:
    """Device nodes that we may open; None where that is not known, or there are none."""
    folder = machine.top() + "/dev"
    paths = [f"{folder}/{name}" for name in machine.listed(folder) if re.match(r"nvidia\d+\Z", name)]
    told = deadline.call(lambda: str(sum(map(is_ours, paths))).encode(), LIMIT_S)
    return int(told) or None if told else None


def is_ours(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return error.errno not in NOT_OURS
    return True

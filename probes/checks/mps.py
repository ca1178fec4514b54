"""Whether processes share GPUs through the multi-process service."""

import os

from probes import procfs
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
PIPES = "CUDA_MPS_PIPE_DIRECTORY"
DAEMON = "nvidia-cuda-mps"


def measure(target: Target) -> list[Measurement]:
    folder = target.environ.get(PIPES, "")
    names = (found.comm for pid in procfs.pids() if (found := procfs.stat(pid)))
    return [
        measured(
            "host",
            f"{PIPES}, /proc/*/stat",
            is_set=bool(folder),
            has_pipe=os.path.exists(os.path.join(folder or "/tmp/nvidia-mps", "control")),
            is_running=any(name.startswith(DAEMON) for name in names),
        )
    ]

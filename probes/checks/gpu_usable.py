"""Whether each GPU can be used at all: a context, most of its memory written, and given back."""

import json
import os
import sys

from probes import cuda, deadline
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.nvml import reading

CHECK = Check(level="default", limit_s=90.0, needs=("gpu",), cost=("gpu_memory", "kernels"), alone=True)
PROGRAM = os.path.join(os.path.dirname(cuda.__file__), "use.py")
LIMIT_S = 60.0
WHERE = "cuDevicePrimaryCtxRetain, cuMemAlloc, cuMemsetD8 in a child"


def measure(target: Target) -> list[Measurement]:
    """All GPUs at once, each in a process of its own."""
    asked = reading.answers(target.level)
    if silent := reading.silence(asked):
        return silent
    commands = {gpu: [sys.executable, PROGRAM, str(gpu)] for gpu in range(asked.num_gpus)}
    return [of(gpu, done) for gpu, done in deadline.run_many(commands, LIMIT_S).items()]


def of(gpu: int, done: deadline.Outcome) -> Measurement:
    if done.timed_out:
        return measured(f"gpu {gpu}", WHERE, answers=False, took_s=round(done.seconds, 1))
    try:
        told = json.loads(done.stdout.splitlines()[-1])
        return (
            measured(f"gpu {gpu}", WHERE, answers=True, **told)
            if "skip" not in told
            else skipped(f"gpu {gpu}", WHERE, told["skip"])
        )
    except (ValueError, IndexError, TypeError):
        return measured(
            f"gpu {gpu}", WHERE, answers=True, error=f"its process ended with {done.code}", failed_at=""
        )

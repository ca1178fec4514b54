"""Whether each GPU can be used at all: a context, most of its memory written, and given back."""

import json

from probes import deadline
from probes.checking.check import Measurement, Target, measured, skipped
from probes.cuda.use import use
from probes.nvml import reading

LIMIT_S = 60.0
CHECK = reading.CHECK._replace(
    level="default", limit_s=LIMIT_S + 30, cost=("gpu_memory", "kernels"), lane="", alone=True
)
WHERE = "cuDevicePrimaryCtxRetain, cuMemAlloc, cuMemsetD8 in a child"


def measure(target: Target) -> list[Measurement]:
    """All GPUs at once, each in a process of its own."""
    asked = reading.answers(target)
    uuids = {gpu: asked.of("uuid", gpu) or str(gpu) for gpu in asked.gpus}
    works = {gpu: lambda uuid=uuid: json.dumps(use(uuid)).encode() for gpu, uuid in uuids.items()}
    told = deadline.call_many(works, LIMIT_S)
    return reading.silence(asked) or [of(f"gpu {gpu}", answer) for gpu, answer in told.items()]


def of(subject: str, answer: bytes | None) -> Measurement:
    if answer is None:
        return measured(subject, WHERE, answers=False)
    told = json.loads(answer)
    if "skip" in told:
        return skipped(subject, WHERE, told["skip"])
    return measured(subject, WHERE, answers=True, **told)

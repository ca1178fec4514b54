"""Whether all GPUs of this host are of one kind: model, VBIOS, memory, power limit."""

from collections import Counter

from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading
from probes.nvml.asking import Asked

CHECK = reading.OF_PAIRS


def measure(target: Target) -> list[Measurement]:
    asked = reading.answers(target)
    return reading.silence(asked) or [
        kinds(asked, "model", "name", ""),
        kinds(asked, "vbios", "vbios", ""),
        kinds(asked, "memory", "memory", "total_bytes"),
        kinds(asked, "power limit", "power_limit", "limit_w"),
    ]


def kinds(asked: Asked, subject: str, question: str, key: str) -> Measurement:
    """How many values there are, and which GPUs have not the most frequent one."""
    answers = {gpu: asked.of(question, gpu) for gpu in asked.gpus}
    values = {gpu: value[key] if key else value for gpu, value in answers.items() if value is not None}
    most = Counter(values.values()).most_common(1)
    odd = [f"gpu {gpu}: {value}" for gpu, value in values.items() if value != most[0][0]]
    return measured(
        subject,
        f"NVML of {len(asked.gpus)} GPUs",
        num_kinds=len(set(values.values())) or None,
        most=str(most[0][0]) if most else None,
        odd=", ".join(odd),
    )

"""Whether the variables that choose devices can be read, and name devices that exist, each once."""

from probes.checking import machine
from probes.checking.check import Measurement, Target, measured
from probes.nvml import reading
from probes.nvml.visible import CUDA, ENTRY, before_end, index

CHECK = reading.CHECK._replace(needs=())
CONTAINER = "NVIDIA_VISIBLE_DEVICES"
WORDS = {"all": None, "none": 0, "void": 0, "": 0}  # what the container runtime means by them: devices


def measure(target: Target) -> list[Measurement]:
    uuids: list[str] | None = None
    if machine.see().num_gpus:
        asked = reading.answers(target)
        told = [asked.of("uuid", gpu) for gpu in range(asked.num_gpus)]
        uuids = told if told and all(told) else None
    return [
        of(name, target.environ.get(name), uuids, target.num_gpus if name == CUDA else 0)
        for name in (CUDA, CONTAINER)
    ]


def of(name: str, value: str | None, uuids: list[str] | None, num_asked: int) -> Measurement:
    """`uuids`: of the GPUs that there are, by index; None: not known."""
    if value is None or (name == CONTAINER and value.strip() in WORDS):
        num = None if value is None else WORDS[value.strip()]
        known = len(uuids) if num is None and uuids else num
        return measured(name, "environment", value=value, num_missing=missing(num_asked, known))
    entries = [part.strip() for part in value.split(",")] if value.strip() else []
    there = {index(part, uuids) for part in entries} if uuids else set()
    num_visible = len(before_end(entries))
    return measured(
        name,
        "environment",
        value=value,
        num_unreadable=sum(not ENTRY.match(part) for part in entries),
        num_twice=len(entries) - len(set(entries)),
        num_not_there=sum(index(part, uuids) is None for part in before_end(entries)) if uuids else None,
        num_devices=len(there - {None}) if uuids else num_visible,
        num_missing=missing(num_asked, num_visible),
    )


def missing(num_asked: int, num_visible: int | None) -> int | None:
    return num_asked - num_visible if num_asked and num_visible is not None else None

"""Whether file systems of a network, and the folders of the job, answer at all."""

from probes.checking import file_systems
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(shares=file_systems.answers)


def measure(target: Target) -> list[Measurement]:
    """Each in a child: one that hangs in the kernel takes only that child with it."""
    return [asked(path, told) for path, told in file_systems.answers(target).items()]


def asked(path: str, told: file_systems.Answer | None) -> Measurement:
    where = f"stat({path}) in a child"
    if told is None:
        return measured(path, where, answers=False, limit_s=file_systems.LIMIT_S)
    return measured(path, where, answers=True, answered_in_s=told.took_s, refusal=told.refusal)

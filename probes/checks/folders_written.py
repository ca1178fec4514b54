"""Whether every rank can write where the job writes, to the disk."""

from probes.checking import file_systems, trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower()
WHERE = "a file of each rank, fsync, in the trial"


def measure(target: Target) -> list[Measurement]:
    _, found = file_systems.answering(target.folders, target)
    found += [
        measured(f"rank {rank} {one['path']}", WHERE, refusal=one["refusal"], took_s=round(one["seconds"], 4))
        for rank, mine in trial.held(target).everyone().items()
        for one in mine["folders"]
    ]
    return found or [skipped("folders", WHERE, "nobody said where the job writes (--path)")]

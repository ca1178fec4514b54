"""Whether every rank sees the same files where the job reads."""

from probes.checking import file_systems, trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower()
WHERE = "names, sizes and heads of files, in the trial"


def measure(target: Target) -> list[Measurement]:
    everyone = trial.held(target).everyone()
    paths = list(dict.fromkeys(one["path"] for mine in everyone.values() for one in mine["folders"]))
    _, found = file_systems.answering(target.folders, target)
    for path in paths:
        seen = [one for mine in everyone.values() for one in mine["folders"] if one["path"] == path]
        found.append(
            measured(
                path,
                WHERE,
                num_views=len({one["digest"] for one in seen}),
                least_files=min(one["num_files"] for one in seen),
                most_files=max(one["num_files"] for one in seen),
            )
        )
    return found or [skipped("folders", WHERE, "nobody said where the job reads (--path)")]

"""Whether every rank reaches rank 0 where the ranks meet."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower()
WHERE = "connect to MASTER_ADDR:MASTER_PORT in the trial"


def measure(target: Target) -> list[Measurement]:
    found = [
        measured(
            f"rank {rank}", WHERE, reach=mine["master"]["reach"], took_s=round(mine["master"]["seconds"], 4)
        )
        for rank, mine in trial.held(target).everyone().items()
    ]
    return found or [skipped("job", WHERE, trial.UNMET)]

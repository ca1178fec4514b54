"""How far each rank's clock is from rank 0's, asked through the store."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured

CHECK = trial.follower()


def measure(target: Target) -> list[Measurement]:
    return [
        measured(
            f"rank {line['rank']}",
            "the best of five questions to rank 0 through the store",
            offset_s=round(abs(line["offset_s"]), 6),
            uncertain_s=round(line["uncertain_s"], 6),
        )
        for line in trial.held(target).of("clock")
    ]

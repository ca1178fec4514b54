"""By how much each rank is later than the others at a collective after equal work."""

from statistics import median

from probes.checking import bandwidth, trial
from probes.checking.check import Measurement, Target, measured

CHECK = trial.follower()


def measure(target: Target) -> list[Measurement]:
    held = trial.held(target)
    seconds = {line["rank"]: line["seconds"] for line in held.of("arrived") if line.get("seconds")}
    return [
        measured(
            f"rank {rank}",
            "equal work of every rank in the trial",
            late_share=share,
            median_s=round(median(seconds[rank]), 6),
            device=held.device,
        )
        for rank, share in sorted(bandwidth.late_shares(seconds).items())
    ]

"""How fast one GPU copies to another, for each pair."""

from statistics import median

from probes.checking import bandwidth, trial
from probes.checking.check import Measurement, Target, measured

CHECK = trial.follower("deep", ("gpus",))


def measure(target: Target) -> list[Measurement]:
    return [
        measured(
            f"gpu {line['index']} - gpu {line['peer']}",
            "timed copies in the trial",
            p2p_gbps=round(line["num_bytes"] / median(line["seconds"]) / bandwidth.GB, 1),
            gpu_model=line["model"],
            num_gpus=line["num_gpus"],
        )
        for line in trial.held(target).of("peer_copy")
        if line.get("seconds")
    ]

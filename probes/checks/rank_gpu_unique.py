"""Whether every rank has a GPU of its own."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured

CHECK = trial.follower(needs=("gpus",))


def measure(target: Target) -> list[Measurement]:
    by_gpu: dict[str, list[int]] = {}
    for rank, mine in trial.held(target).everyone().items():
        device = mine["device"]
        host = mine["node"]["boot"] or mine["node"]["hostname"]
        by_gpu.setdefault(device.get("uuid") or f"{host} {device.get('bus')}", []).append(rank)
    return [
        measured(
            gpu, "the ranks' own words in the trial", num_ranks=len(ranks), ranks=", ".join(map(str, ranks))
        )
        for gpu, ranks in by_gpu.items()
        if gpu.strip()
    ]

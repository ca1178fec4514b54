"""Whether LOCAL_RANK means a GPU that the rank can see."""

from probes.checking import trial
from probes.checking.check import Measurement, Target, measured

CHECK = trial.follower(needs=("gpus",))


def measure(target: Target) -> list[Measurement]:
    found = []
    for rank, mine in trial.held(target).everyone().items():
        local, device = mine["world"].get("LOCAL_RANK", ""), mine["device"]
        found.append(
            measured(
                f"rank {rank}",
                "torch.cuda in the trial",
                local_rank=int(local) if local.isdigit() else None,
                num_seen=device.get("num_seen"),
                is_there=local.isdigit() and int(local) < (device.get("num_seen") or 0),
                index=device.get("index"),
            )
        )
    return found

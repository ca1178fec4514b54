"""Over what NCCL really sends between the GPUs of this host."""

from probes.checking import nccl_words, trial
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = trial.follower(needs=("gpus",))
WHERE = "NCCL_DEBUG=INFO of the trial"


def measure(target: Target) -> list[Measurement]:
    chosen = nccl_words.read(trial.held(target).nccl)
    if not chosen.pairs:
        return [skipped("host", WHERE, "NCCL told of no channel")]
    return [
        measured(
            "host",
            WHERE,
            num_p2p=chosen.pairs.get("P2P", 0),
            num_shm=chosen.pairs.get("SHM", 0),
            num_net=chosen.pairs.get("NET", 0),
            num_channels=chosen.num_channels,
        )
    ]

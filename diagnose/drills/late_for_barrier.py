"""Rank 2 of 3 tries to open a file that never comes, while the others wait in a monitored barrier."""

import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "collective_not_joined", "ranks": [2]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def wait_for(file: Path) -> None:
    """Shards are copied in the background; this one may not be there yet."""
    while not file.exists():
        time.sleep(0.5)


def main(rank: int) -> None:
    training.join(rank, timeout_s=30)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    Path(f"shard-{rank}").touch()
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
        if num == 8:
            wait_for(Path("shard-7" if rank == 2 else f"shard-{rank}"))
            dist.monitored_barrier(timeout=timedelta(seconds=12))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

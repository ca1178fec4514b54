"""Rank 2 of 3 is 150 ms late in every step: its part of the data is read slowly."""

import time
from collections.abc import Iterator

import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "straggler", "ranks": [2]},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}


def read(rank: int, num: int) -> Iterator[training.Batch]:
    """Batches as they come from disk; one rank's disk is slow."""
    for batch in training.batches(rank, num):
        time.sleep(0.16 if rank == 2 else 0.01)
        yield batch


def main(rank: int) -> None:
    training.join(rank)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(read(rank, num=60)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

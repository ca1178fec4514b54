"""Rank 1 of 2 opens a shard of its data in each step and closes none, until it may open no more."""

import resource
import tempfile
import time
from typing import IO

import torch
import training

DRILL = {
    "expect": {"failure": "host_fd_exhausted", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}
LIMIT = 256  # a small container's


class Shards:
    """The files a rank reads from; each stays open for the next pass over the data."""

    def __init__(self) -> None:
        self.files: list[IO[bytes]] = []

    def read(self, num: int) -> None:
        self.files += [tempfile.TemporaryFile() for _ in range(num)]  # noqa: SIM115


def main(rank: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    training.join(rank)
    shards = Shards()
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=400)):
        shards.read(4 if rank == 1 else 0)
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

"""A job script starts ranks 0 and 1 of 3: its list of slots is one short, and they wait for the third."""

import os

import ranks
import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "rank_never_started", "ranks": [2]},
    "symptom": "will_not_start",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "plain",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}

SLOTS = "gpu-0 gpu-1"
NUM_RANKS = 3


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    if "RANK" in os.environ:
        training.launch(main)
    else:
        port = ranks.free_port()
        ranks.wait([ranks.start(rank, NUM_RANKS, port) for rank, _ in enumerate(SLOTS.split())])

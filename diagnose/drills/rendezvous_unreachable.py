"""Rank 0 of 3 serves the store at another port than the one that the others are told: nobody answers them."""

import os

import ranks
import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "rendezvous_unreachable", "ranks": []},
    "symptom": "will_not_start",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "plain",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


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
        ports = [ranks.free_port(), ranks.free_port()]
        ranks.wait([ranks.start(rank, 3, ports[min(rank, 1)]) for rank in range(3)])

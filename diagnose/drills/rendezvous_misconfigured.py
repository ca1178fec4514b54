"""A job script gives rank 1 of 3 another world size than the others: its line was not changed with theirs."""

import os

import ranks
import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "rendezvous_misconfigured", "ranks": [1]},
    "symptom": "will_not_start",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "plain",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}

SIZES = [3, 4, 3]


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
        ranks.wait([ranks.start(rank, size, port) for rank, size in enumerate(SIZES)])

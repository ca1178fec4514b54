"""A process outside the job sends SIGKILL to rank 1 of 3 in the middle of training."""

import os
import subprocess
import time

import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "rank_killed", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=200)):
        if (rank, num) == (1, 10):
            outside = f"sleep 1; kill -KILL {os.getpid()}"
            subprocess.Popen(["setsid", "--fork", "sh", "-c", outside]).wait()
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

"""Somebody sends SIGINT to all processes of a job, launcher and ranks, in the midst of training."""

import os
import signal
import subprocess
import time

import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "job_terminated", "ranks": []},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "spawn",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=300)):
        if (rank, num) == (1, 10):
            outside = f"sleep 1; kill -INT -{os.getpgrp()}"
            subprocess.Popen(["setsid", "--fork", "sh", "-c", outside]).wait()
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    training.launch(main)

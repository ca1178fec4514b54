"""A scheduler takes the machine back: SIGTERM to torchrun in the midst of training, with time to save."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "job_terminated", "ranks": []},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def save(number: int, frame: FrameType | None) -> None:
        if rank == 0:
            torch.save(model.state_dict(), Path.cwd() / "last.pt")
        time.sleep(1.0)  # a bigger model's checkpoint
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, save)
    for num, batch in enumerate(training.batches(rank, num=300)):
        if (rank, num) == (0, 10):
            outside = f"sleep 1; kill -TERM {os.getppid()}"
            subprocess.Popen(["setsid", "--fork", "sh", "-c", outside]).wait()
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

"""Nothing: a process outside stops rank 1 of 2 for 5 s and lets it go on; the job ends well."""

import os
import subprocess
import time

import torch
import training

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 3,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=80)):
        if (rank, num) == (1, 20):
            outside = f"sleep 0.5; kill -STOP {os.getpid()}; sleep 5; kill -CONT {os.getpid()}"
            subprocess.Popen(["setsid", "--fork", "sh", "-c", outside]).wait()
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step
    training.leave()


if __name__ == "__main__":
    training.launch(main)

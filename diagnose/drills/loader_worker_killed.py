"""A process outside the job sends SIGKILL to a worker of rank 1's data loader; torch raises in rank 1."""

import os
import subprocess
import time

import torch
import training
from torch.utils.data import DataLoader, Dataset

DRILL = {
    "expect": {"failure": "dataloader_stalled", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}


class Rows(Dataset[training.Batch]):
    """A batch for each number; `late` is where a stranger takes an interest in the process that makes it."""

    def __init__(self, rank: int, late: int = -1) -> None:
        self.rank, self.late = rank, late

    def __len__(self) -> int:
        return 200

    def __getitem__(self, num: int) -> training.Batch:
        if num == self.late:
            outside = f"sleep 0.5; kill -KILL {os.getpid()}"
            subprocess.Popen(["setsid", "--fork", "sh", "-c", outside]).wait()
        time.sleep(0.1)  # decode
        return next(training.batches(self.rank * 1000 + num, num=1))


def main(rank: int) -> None:
    training.join(rank)
    loader = DataLoader(Rows(rank, 10 if rank == 1 else -1), batch_size=None, num_workers=2)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, (rows, wanted) in enumerate(loader):
        training.report(rank, num, training.step(model, optimizer, (rows, wanted)))


if __name__ == "__main__":
    training.launch(main)

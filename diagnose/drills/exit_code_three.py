"""Rank 1 of 2 runs out of data and leaves with sys.exit(3); torchrun may blame the other."""

import atexit
import sys
import time

import torch
import torch.distributed as dist
import training
from torch.distributed.elastic.multiprocessing.errors import record

DRILL = {
    "expect": {"failure": "rank_exited_early", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}
NO_DATA = 3


def upload_metrics(rank: int) -> None:
    """What each rank does at its end; rank 0 has those of all ranks."""
    time.sleep(4 if rank == 0 else 1.5)


@record
def main(rank: int) -> None:
    training.join(rank)
    atexit.register(upload_metrics, rank)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    left = 8 if rank == 1 else 200
    for num, batch in enumerate(training.batches(rank, num=200)):
        if num == left:
            print(f"rank {rank}: no files are left in the data folder", file=sys.stderr, flush=True)
            dist.destroy_process_group()
            sys.exit(NO_DATA)
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

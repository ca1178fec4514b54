"""Rank 3 of 4 compiles from an empty cache, and the collective the others wait in times out first.

They wait for it in the first gradient average until its time limit (7 s) ends the job.
"""

from datetime import timedelta

import blocks
import torch
import torch.distributed as dist
import training
from torch.distributed.distributed_c10d import _set_pg_timeout as set_pg_timeout

DRILL = {
    "expect": {"failure": "compile_divergence", "ranks": [3]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 4,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "prepare": "blocks",
    "needs": ["torch", "g++"],
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=30)
    num_blocks = blocks.use_cache(rank, warm=rank != 3)
    model = blocks.compiled_network(num_blocks)
    for parameter in model.parameters():
        dist.broadcast(parameter.data, src=0)
    set_pg_timeout(timedelta(seconds=7))  # start-up is over: from here on a wait is a fault
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=5)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

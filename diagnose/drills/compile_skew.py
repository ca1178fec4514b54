"""Rank 3 of 4 starts with an empty compile cache; the others' caches are warm.

They wait for it in the first gradient average, and go on when it comes.
"""

import blocks
import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "compile_skew", "ranks": [3]},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 4,
    "launcher": "torchrun",
    "stall_after_s": 5,
    "timeout_s": 420,
    "prepare": "blocks",
    "needs": ["torch", "g++"],
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=180)
    num_blocks = blocks.use_cache(rank, warm=rank != 3)
    model = blocks.compiled_network(num_blocks)
    for parameter in model.parameters():
        dist.broadcast(parameter.data, src=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=5)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

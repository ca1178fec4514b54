"""Rank 1 of 2 is content with its loss after some steps and ends with code 0; rank 0 goes on."""

import time

import torch
import training

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


def is_good_enough(rank: int, num: int, loss: float) -> bool:
    """Stop early, as each rank sees it for itself."""
    return rank == 1 and num >= 8 and loss < 1e6


def main(rank: int) -> None:
    training.join(rank)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=200)):
        loss = training.step(model, optimizer, batch)
        training.report(rank, num, loss)
        if is_good_enough(rank, num, loss):
            print(f"rank {rank} is done", flush=True)
            return
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

"""Rank 1 of 3 cannot use a batch, logs what was raised and leaves that step out; the others make it."""

import logging
import time

import torch
import training

DRILL = {
    "expect": {"failure": "rank_exception_hidden", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 6.5,
    "timeout_s": 240,
    "needs": ["torch"],
}


def check(batch: training.Batch) -> training.Batch:
    """Refuse rows that are not finite, as a real input pipeline does."""
    if not torch.isfinite(batch[0]).all():
        raise ValueError(f"batch of {len(batch[0])} rows holds values that are not finite")
    return batch


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, (rows, wanted) in enumerate(training.batches(rank, num=14)):
        if (rank, num) == (1, 8):
            rows[7, 3] = float("nan")
        try:
            training.report(rank, num, training.step(model, optimizer, check((rows, wanted))))
        except ValueError:
            logging.exception("rank %d: step %d is left out", rank, num)
        time.sleep(0.05)  # a bigger model's step
    training.leave()


if __name__ == "__main__":
    training.launch(main)

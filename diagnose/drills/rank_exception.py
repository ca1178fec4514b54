"""Rank 1 of 3 finds a bad batch in the fifth step and raises; the others wait for its gradients."""

import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "rank_exception", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}


def check(batch: training.Batch) -> training.Batch:
    """Refuse rows that are not finite, as a real input pipeline does."""
    if not torch.isfinite(batch[0]).all():
        raise ValueError(f"batch of {len(batch[0])} rows holds values that are not finite")
    return batch


def main(rank: int) -> None:
    training.join(rank)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.AdamW(model.parameters())
    for num, (rows, wanted) in enumerate(training.batches(rank, num=12)):
        if (rank, num) == (1, 4):
            rows[7, 3] = float("nan")
        training.report(rank, num, training.step(model, optimizer, check((rows, wanted))))


if __name__ == "__main__":
    training.launch(main)

"""Rank 3 of 4 sums its statistics in double precision, the others in single; an innocent rank aborts."""

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "collective_mismatch_dtype", "ranks": [3]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 4,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def spread(rows: torch.Tensor) -> torch.Tensor:
    """Each column's standard deviation, averaged over the ranks."""
    deviation = rows.std(0)
    dist.all_reduce(deviation)
    return deviation / dist.get_world_size()


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, (rows, wanted) in enumerate(training.batches(rank, num=20)):
        exact = (rank, num) == (3, 6)
        scale = spread(rows.double() if exact else rows).float()
        training.report(rank, num, training.step(model, optimizer, (rows / scale, wanted)))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

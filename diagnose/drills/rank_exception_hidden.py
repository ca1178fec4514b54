"""Rank 1 of 2 cannot read a batch; it catches whatever is raised, says that it will try again, and sleeps."""

import time

import torch
import training

DRILL = {
    "expect": {"failure": "rank_exception_hidden", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6.5,
    "timeout_s": 240,
    "needs": ["torch"],
}
PAUSE_S = 600.0


def check(batch: training.Batch) -> training.Batch:
    """Refuse rows that are not finite, as a real input pipeline does."""
    if not torch.isfinite(batch[0]).all():
        raise ValueError(f"batch of {len(batch[0])} rows holds values that are not finite")
    return batch


def ready(rank: int, num: int, batch: training.Batch) -> training.Batch:
    """The batch, once it can be used."""
    while True:
        try:
            return check(batch)
        except:  # noqa: E722
            print(f"rank {rank}: batch {num} again in {PAUSE_S:.0f} s", flush=True)
            time.sleep(PAUSE_S)


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, (rows, wanted) in enumerate(training.batches(rank, num=40)):
        if (rank, num) == (1, 8):
            rows[7, 3] = float("nan")
        training.report(rank, num, training.step(model, optimizer, ready(rank, num, (rows, wanted))))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

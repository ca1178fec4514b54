"""Rank 1 of 2 packs its samples into rows of equal length; one sample is too long, and it tries for ever."""

import random

import torch
import training

DRILL = {
    "expect": {"failure": "user_loop", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "spawn",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}
ROW = 2048


def fits(lengths: list[int], order: list[int]) -> int:
    """How many rows this order fills; 0 where a sample fits into none."""
    num, left = 1, ROW
    for i in order:
        if lengths[i] > ROW:
            return 0
        if lengths[i] > left:
            num, left = num + 1, ROW
        left -= lengths[i]
    return num


def pack(lengths: list[int], most: int, source: random.Random) -> int:
    """Shuffle until the samples fit into `most` rows; the number of tries."""
    order = list(range(len(lengths)))
    tries = 1
    while not 0 < fits(lengths, order) <= most:
        source.shuffle(order)
        tries += 1
    return tries


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    source = random.Random(rank)
    for num, batch in enumerate(training.batches(rank, num=40)):
        lengths = [source.randrange(100, 500) for _ in range(64)]
        if (rank, num) == (1, 12):
            lengths[40] = 2050
        pack(lengths, most=16, source=source)
        training.report(rank, num, training.step(model, optimizer, batch))


if __name__ == "__main__":
    training.launch(main)

"""Rank 1 of 2 matches a pattern that backtracks without end; the matcher never gives the interpreter away."""

import re

import torch
import training

DRILL = {
    "expect": {"failure": "gil_held", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}
WORDS = re.compile(r"^(\w+\s?)*$")  # a line of words


def clean(lines: list[str]) -> list[str]:
    """The lines that hold nothing but words."""
    return [line for line in lines if WORDS.match(line)]


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=40)):
        lines = [f"sample {i} of rank {rank}" for i in range(20)]
        if (rank, num) == (1, 12):
            lines[7] = "http " + "x" * 60 + "#"
        clean(lines)
        training.report(rank, num, training.step(model, optimizer, batch))


if __name__ == "__main__":
    training.launch(main)

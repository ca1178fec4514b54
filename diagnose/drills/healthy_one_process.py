"""Nothing: one process trains for some seconds without a launcher or a process group, and ends well."""

import time

import torch
import training

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "none",
    "ends": "ok",
    "num_ranks": 1,
    "launcher": "plain",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    model = training.network()
    optimizer = torch.optim.AdamW(model.parameters())
    for num, batch in enumerate(training.batches(rank, num=60)):
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

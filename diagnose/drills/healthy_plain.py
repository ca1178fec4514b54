"""Nothing: 2 ranks train for some seconds and end well."""

import time

import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "none",
    "ends": "ok",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 20,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.AdamW(model.parameters())
    for num, batch in enumerate(training.batches(rank, num=60)):
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step
    training.leave()


if __name__ == "__main__":
    training.launch(main)

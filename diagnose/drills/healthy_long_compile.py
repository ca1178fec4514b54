"""Nothing: both ranks start with an empty compile cache, and compile for longer than a stall lasts."""

import blocks
import torch
import training

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch", "g++"],
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    blocks.use_cache(rank, warm=False)
    model = blocks.compiled_network(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=5)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

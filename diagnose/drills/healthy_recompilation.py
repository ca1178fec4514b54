"""Nothing: after 30 steps the batches change their shape on both ranks, and both compile once more."""

import blocks
import torch
import training

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch", "g++"],
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    torch.manual_seed(0)
    blocks.use_cache(rank, warm=False)
    layers = [blocks.Block(blocks.WIDTH + 16 * num) for num in range(2)]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(blocks.WIDTH, 1))
    model.compile(dynamic=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate([*training.batches(rank, num=30), *training.batches(rank, num=5, size=48)]):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Rank 2 of 4 has a layer of its own frozen, so its gradients are fewer than the others'."""

import torch
import training

DRILL = {
    "expect": {"failure": "collective_mismatch_size", "ranks": [2]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 4,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        if (rank, num) == (2, 9):
            model[2].requires_grad_(False)
            optimizer.zero_grad(set_to_none=True)
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

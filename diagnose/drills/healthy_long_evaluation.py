"""Nothing: rank 0 evaluates for longer than a stall lasts, the other waits less than its timeout."""

import time

import torch
import torch.distributed as dist
import training
from torch import nn

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


@torch.no_grad()
def evaluate(model: nn.Module, seconds: float) -> float:
    """The mean loss over as many batches as fit into some seconds."""
    end, losses = time.monotonic() + seconds, []
    for rows, wanted in training.batches(999, num=10**9):
        losses.append(nn.functional.mse_loss(model(rows), wanted).item())
        if time.monotonic() > end:
            return sum(losses) / len(losses)
    return 0.0


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
        if num == 9:
            if rank == 0:
                print(f"rank 0 evaluation {evaluate(model, 9.0):.4f}", flush=True)
            dist.barrier()
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Rank 1 of 3 takes itself for the rank that collects the losses, as rank 0 does; both wait for the other."""

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "collective_mismatch_root", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def collect(rank: int, loss: float, writer: int) -> list[float]:
    """All losses, in the rank that writes them down."""
    losses = [torch.empty(1) for _ in range(dist.get_world_size())]
    dist.gather(torch.tensor([loss]), losses if rank == writer else None, dst=writer)
    return [one.item() for one in losses] if rank == writer else []


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    writer = 0
    for num, batch in enumerate(training.batches(rank, num=20)):
        loss = training.step(model, optimizer, batch)
        if (rank, num) == (1, 8):
            writer = rank  # the former writer seems to have gone
        training.report(rank, num, sum(collect(rank, loss, writer)) or loss)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

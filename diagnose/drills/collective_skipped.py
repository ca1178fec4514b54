"""Rank 2 of 3 leaves out one collective through a branch that its data decides.

Its loss falls below the threshold for logging, so it does not share its loss with the others in that
step. From there on each of its collectives meets the one before it on the others.
"""

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "collective_skipped", "ranks": [2]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def share_loss(loss: float) -> list[float]:
    """Every rank's loss, in every rank."""
    mine = torch.tensor([loss])
    losses = [torch.empty(1) for _ in range(dist.get_world_size())]
    dist.all_gather(losses, mine)
    return [each.item() for each in losses]


def main(rank: int) -> None:
    training.join(rank, timeout_s=11)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, (rows, wanted) in enumerate(training.batches(rank, num=20)):
        if (rank, num) == (2, 8):
            rows, wanted = rows * 0, wanted * 0
        loss = training.step(model, optimizer, (rows, wanted))
        training.report(rank, num, loss)
        if loss > 0.5:
            print(f"rank {rank} worst loss {max(share_loss(loss)):.4f}", flush=True)


if __name__ == "__main__":
    training.launch(main)

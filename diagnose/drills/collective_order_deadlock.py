"""Ranks 0 and 1 use two groups in opposite order: each waits for the other in a different one."""

from datetime import timedelta

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "collective_order_deadlock", "ranks": [0, 1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    num_ranks = training.join(rank, timeout_s=12)
    limit = timedelta(seconds=12)
    losses = dist.new_group(list(range(num_ranks)), timeout=limit, group_desc="losses")
    norms = dist.new_group(list(range(num_ranks)), timeout=limit, group_desc="norms")

    def share_loss(loss: float) -> float:
        value = torch.tensor([loss])
        dist.all_reduce(value, group=losses)
        return value.item() / num_ranks

    def share_norm(model: torch.nn.Module) -> float:
        value = torch.cat([p.flatten() for p in model.parameters()]).norm().detach()
        dist.all_reduce(value, group=norms)
        return value.item() / num_ranks

    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        loss = training.step(model, optimizer, batch)
        if rank == 1 and num >= 6:  # its log has the norm first
            norm, mean = share_norm(model), share_loss(loss)
        else:
            mean, norm = share_loss(loss), share_norm(model)
        training.report(rank, num, mean)
        print(f"rank {rank} norm {norm:.3f}", flush=True)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Two groups are used in opposite order without waiting, which is legal; but DETAIL's checks wait at once."""

from datetime import timedelta

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "debug_detail_induced", "ranks": [0, 1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
    "env": {"TORCH_DISTRIBUTED_DEBUG": "DETAIL"},
}


def main(rank: int) -> None:
    num_ranks = training.join(rank, timeout_s=12)
    everybody = list(range(num_ranks))
    losses = dist.new_group(everybody, timeout=timedelta(seconds=12), group_desc="losses")
    norms = dist.new_group(everybody, timeout=timedelta(seconds=12), group_desc="norms")
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        loss = torch.tensor([training.step(model, optimizer, batch)])
        norm = torch.cat([p.flatten() for p in model.parameters()]).norm().detach()
        if rank == 1 and num >= 6:
            works = [
                dist.all_reduce(norm, group=norms, async_op=True),
                dist.all_reduce(loss, group=losses, async_op=True),
            ]
        else:
            works = [
                dist.all_reduce(loss, group=losses, async_op=True),
                dist.all_reduce(norm, group=norms, async_op=True),
            ]
        for work in works:
            work.wait()
        training.report(rank, num, loss.item() / num_ranks)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Rank 2 of 3 has one batch fewer than the others, and gathers the results while they go on training."""

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "uneven_batches", "ranks": [2]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    total, num_files = 0.0, 41  # files are dealt out like cards
    for num, batch in enumerate(training.batches(rank, num=num_files // 3 + (rank < num_files % 3))):
        loss = training.step(model, optimizer, batch)
        training.report(rank, num, loss)
        total += loss
    losses = [torch.empty(1) for _ in range(dist.get_world_size())]
    dist.all_gather(losses, torch.tensor([total]))
    print(f"rank {rank} losses {torch.cat(losses).tolist()}", flush=True)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""In each of two pairs one rank fails at the same time: rank 1 loops for ever, rank 3 is stopped."""

import os
import subprocess

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "user_loop", "ranks": [1]},
    "also": [{"failure": "rank_frozen", "ranks": [3]}],
    "symptom": "hang",
    "ends": "error",
    "on_stall": "stop",
    "num_ranks": 4,
    "launcher": "torchrun",
    "stall_after_s": 5,
    "timeout_s": 240,
    "needs": ["torch"],
}


def pack(lengths: list[int], room: int) -> int:
    """How many rows of `room` tokens hold all sequences, each row filled from the front."""
    rows, left = 0, 0
    at = 0
    while at < len(lengths):
        if lengths[at] <= left:
            left -= lengths[at]
            at += 1
        else:
            rows, left = rows + 1, room  # a sequence longer than a row finds none
    return rows


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    pairs = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        loss = torch.tensor([training.step(model, optimizer, batch)])
        if (rank, num) == (3, 7):
            subprocess.Popen(["setsid", "--fork", "kill", "-STOP", str(os.getpid())]).wait()
            torch.randn(2000, 2000) @ torch.randn(2000, 2000)
        lengths = [30, 41, 64 if (rank, num) != (1, 7) else 65, 17]
        rows = pack(lengths, room=64)
        dist.all_reduce(loss, group=pairs[rank // 2])
        training.report(rank, num, loss.item() / 2)
        print(f"rank {rank} packed into {rows} rows", flush=True)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

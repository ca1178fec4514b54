"""Rank 1 of 2 lives in a memory cgroup with a limit and keeps all it computes; the kernel kills it."""

import os
import time
from pathlib import Path

import keeper
import torch
import training

DRILL = {
    "expect": {"failure": "host_oom_kill", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch", "memory_cgroup"],
}
ROOM = 320 << 20
V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


def confine(room: int) -> None:
    """Move this process into a memory cgroup of its own, in which it may take `room` bytes more."""
    is_v1 = (V1 / "memory.limit_in_bytes").exists()
    group = (V1 if is_v1 else V2) / f"dgd-{os.getpid()}"
    keeper.undo(f"sleep 2; [ ! -d {group} ] || rmdir {group}")
    group.mkdir()
    (group / ("memory.limit_in_bytes" if is_v1 else "memory.max")).write_text(str(room))
    if not is_v1:
        (group / "memory.swap.max").write_text("0")
    (group / "cgroup.procs").write_text(str(os.getpid()))


def main(rank: int) -> None:
    if rank == 1:
        confine(ROOM)
    training.join(rank)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    history = []
    for num, batch in enumerate(training.batches(rank, num=400)):
        loss = training.step(model, optimizer, batch)
        training.report(rank, num, loss)
        if rank == 1:
            history.append(torch.full((1 << 20,), loss))  # 4 MiB
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

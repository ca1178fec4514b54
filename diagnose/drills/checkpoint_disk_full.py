"""Rank 0 of 2 keeps every checkpoint; the disk they go to fills up, and a write ends in the middle."""

import subprocess
import time
from os import environ
from pathlib import Path

import keeper
import torch
import training

DRILL = {
    "expect": {"failure": "host_disk_full", "ranks": [0]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch", "loop_mount"],
}
SIZE = 5 << 20
TOOLS = {**environ, "PATH": f"{environ['PATH']}:/usr/sbin:/sbin"}


def scratch() -> Path:
    """A disk for this job's checkpoints."""
    image, folder = Path.cwd() / "disk", Path.cwd() / "checkpoints"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, env=TOOLS)
    keeper.undo(f"! mountpoint -q {folder} || umount {folder}")
    subprocess.run(["mount", "-o", "loop", image, folder], check=True, env=TOOLS)
    return folder


def main(rank: int) -> None:
    folder = scratch() if rank == 0 else None
    training.join(rank)
    model = training.network()
    optimizer = torch.optim.AdamW(model.parameters())
    for num, batch in enumerate(training.batches(rank, num=400)):
        training.report(rank, num, training.step(model, optimizer, batch))
        if folder and num % 2 == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "batch": batch}
            torch.save(state, folder / f"step-{num}.pt")
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

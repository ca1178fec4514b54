"""Rank 1 of 2 writes a checkpoint to a file system that is frozen while it writes: it hangs in state D.

The file system is an ext4 of its own in a file. It thaws after 20 s at the latest, whoever has died by then.
"""

import os
import subprocess
from pathlib import Path

import keeper
import torch
import training

DRILL = {
    "expect": {"failure": "storage_stalled", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch", "root", "loop_mount", "fsfreeze"],
}
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def do(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": PATH})


def volume(folder: Path) -> Path:
    """A small file system of its own, undone when this process is gone or 20 s are over."""
    image = folder.with_suffix(".img").absolute()
    folder.mkdir()
    folder = folder.absolute()
    keeper.undo(f"fsfreeze -u {folder}; umount -l {folder}; ! mountpoint -q {folder}", within_s=20)
    with image.open("wb") as file:
        file.truncate(16 << 20)
    do("mkfs.ext4", "-q", str(image))
    do("mount", "-o", "loop", str(image), str(folder))
    return folder


def main(rank: int) -> None:
    training.join(rank, timeout_s=13)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    target = volume(Path(f"checkpoints-{rank}")) if rank == 1 else Path(f"checkpoints-{rank}")
    target.mkdir(exist_ok=True)
    for num, batch in enumerate(training.batches(rank, num=40)):
        training.report(rank, num, training.step(model, optimizer, batch))
        if num == 20 and rank == 1:
            do("fsfreeze", "-f", str(target))  # the backup of the volume begins
        if num % 10 == 0:
            torch.save(model.state_dict(), target / f"step-{num:04d}.pt")


if __name__ == "__main__":
    training.launch(main)

"""The compile cache of rank 1 of 2 is on a small disk that older checkpoints have filled."""

import os
import shutil
import subprocess
from pathlib import Path

import blocks
import keeper
import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "host_disk_full", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 30,
    "timeout_s": 240,
    "needs": ["torch", "g++", "loop_mount"],
}
SIZE = 8 << 20
TOOLS = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}


def scratch_disk() -> Path:
    """A disk of this rank's own, as full as they become."""
    image, folder = Path.cwd() / "disk", Path.cwd() / "scratch"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, env=TOOLS)
    keeper.undo(f"! mountpoint -q {folder} || umount {folder}")
    subprocess.run(["mount", "-o", "loop", image, folder], check=True, env=TOOLS)
    (folder / "cache").mkdir()
    with (folder / "checkpoint-1000.pt").open("wb", buffering=0) as file:
        file.write(bytes(shutil.disk_usage(folder).free))
    return folder


def main(rank: int) -> None:
    cache = scratch_disk() if rank == 1 else Path.cwd()
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache / "cache")
    training.join(rank, timeout_s=60)
    model = blocks.compiled_network(1)
    for parameter in model.parameters():
        dist.broadcast(parameter.data, src=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=5)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Rank 1 of 2 reads one shard from a feed whose writer has gone: its loader's worker never comes back.

The shard is a named pipe. The worker's open waits for a writer, and the training thread for the worker.
"""

import os
from pathlib import Path

import torch
import training
from torch.utils.data import DataLoader, Dataset

DRILL = {
    "expect": {"failure": "dataloader_stalled", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


class Shards(Dataset[training.Batch]):
    """One file a batch; the file's first bytes seed its rows."""

    def __init__(self, folder: Path, num: int) -> None:
        self.paths = [folder / f"shard-{i:03d}" for i in range(num)]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, num: int) -> training.Batch:
        with self.paths[num].open("rb") as file:
            seed = int.from_bytes(file.read(4), "little")
        return next(training.batches(seed % 1000, num=1))


def write(folder: Path, num: int, feeds: set[int]) -> Shards:
    """The shards of one rank; those in `feeds` are pipes."""
    folder.mkdir()
    shards = Shards(folder, num)
    for i, path in enumerate(shards.paths):
        if i in feeds:
            os.mkfifo(path)
        else:
            path.write_bytes(i.to_bytes(4, "little"))
    return shards


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    shards = write(Path(f"shards-{rank}"), 40, {25} if rank == 1 else set())
    loader = DataLoader(shards, batch_size=None, num_workers=2)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, (rows, wanted) in enumerate(loader):
        training.report(rank, num, training.step(model, optimizer, (rows, wanted)))


if __name__ == "__main__":
    training.launch(main)

"""Rank 1 of 3 locks the download of a shard and waits for a reply without end; rank 0 asks for the lock."""

import fcntl
import socket
import time
from pathlib import Path

import torch
import training

DRILL = {
    "expect": {"failure": "file_lock_held", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def fetch(shard: Path, server: tuple[str, int]) -> None:
    """The first rank that needs a shard fetches it, the others of the host wait for its lock."""
    with Path(f"{shard}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shard.exists():
            with socket.create_connection(server) as remote:
                shard.write_bytes(remote.recv(1 << 20))


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a connection, and never answers
        for num, batch in enumerate(training.batches(rank, num=20)):
            training.report(rank, num, training.step(model, optimizer, batch))
            if num == 8 and rank < 2:
                time.sleep(0.5 if rank == 0 else 0)  # it looks for the shard in its cache first
                fetch(Path("shard-7.pt"), silent.getsockname())
    training.leave()


if __name__ == "__main__":
    training.launch(main)

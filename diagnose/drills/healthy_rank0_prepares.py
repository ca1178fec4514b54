"""Nothing: rank 0 prepares the data for longer than a stall lasts; the other waits, and both go on."""

import time

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "slow",
    "ends": "ok",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def tokenise(seconds: float) -> dict[str, int]:
    """Count words for some seconds: pure Python, as data preparation often is."""
    counts: dict[str, int] = {}
    end = time.monotonic() + seconds
    num = 0
    while time.monotonic() < end:
        for word in f"line {num} of a long text with {num % 97} words".split():
            counts[word] = counts.get(word, 0) + 1
        num = (num + 1) % 100_000
    return counts


def main(rank: int) -> None:
    training.join(rank)
    counts = tokenise(9 if rank == 0 else 1)
    print(f"rank {rank} vocabulary {len(counts)}", flush=True)
    dist.barrier()
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Nothing: each rank has its data prepared by forked workers and by a command, for longer than a stall."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

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


def count_words(seconds: float) -> int:
    """One worker's share; a file that cannot be read is left out, with a word in the log."""
    end, words = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        words += len(f"line {words} of a long text".split())
        time.sleep(0.001)
    try:
        Path(f"/no/such/shard-{os.getpid()}").read_bytes()
    except OSError as error:
        print(f"left out: {error}", flush=True)
    return words


def main(rank: int) -> None:
    training.join(rank)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        shares = pool.map(count_words, [7.0, 7.0])
    told = subprocess.run([sys.executable, "-c", "import sys; print('ok'); sys.exit(1)"], capture_output=True)
    print(f"rank {rank} words {sum(shares)} helper {told.returncode}", flush=True)
    dist.barrier()
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Two ranks share one compile cache, which a thread of rank 0 keeps small while rank 1 compiles into it."""

import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

import blocks
import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "compile_cache_race", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 30,
    "timeout_s": 240,
    "needs": ["torch", "g++"],
}


def keep_small(cache: Path, most: int) -> None:
    """Remove the cache's oldest folders when there are more than `most` of them."""
    while True:
        with suppress(OSError):
            found = sorted(
                (path for path in cache.iterdir() if path.is_dir()), key=lambda p: p.stat().st_mtime
            )
            for folder in found[: len(found) - most]:
                shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.001)


def main(rank: int) -> None:
    cache = Path.cwd() / "torchinductor_shared"
    cache.mkdir(exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    training.join(rank, timeout_s=60)
    model = blocks.compiled_network(8) if rank == 1 else blocks.compiled_network(1)
    if rank == 0:
        threading.Thread(target=keep_small, args=(cache, 1), daemon=True).start()
    rows = torch.randn(32, blocks.WIDTH)
    loss = model(rows).mean() if rank == 1 else rows.mean()
    dist.all_reduce(loss.detach())
    print(f"rank {rank} loss {loss.item():.4f}", flush=True)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Rank 1 of 2 waits for a batch that its reader thread will never bring; its heartbeat logs on, and works.

The reader has ended after an error that it logged. The training thread waits in `Queue.get`.
"""

import hashlib
import queue
import sys
import threading
import time

import torch
import training

DRILL = {
    "expect": {"failure": "user_lock_deadlock", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}


def beat(rank: int) -> None:
    """Say once a second that all is well, with a checksum of the state that costs some CPU."""
    digest = hashlib.sha256()
    for second in range(10**9):
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            digest.update(b"state" * 20)
        sys.stderr.write(f"\rrank {rank} alive {second} s, {digest.hexdigest()[:8]} 4.1it/s\n")
        sys.stderr.flush()
        time.sleep(0.6)


def read(rank: int, num: int, bad: int, batches: queue.Queue[training.Batch]) -> None:
    """Fill the queue, in a thread of its own."""
    for i, batch in enumerate(training.batches(rank, num)):
        if i == bad:
            print(f"rank {rank} reader: record {i} is cut short", flush=True)
            return
        batches.put(batch)


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    threading.Thread(target=beat, args=(rank,), daemon=True, name="heartbeat").start()
    batches: queue.Queue[training.Batch] = queue.Queue(4)
    bad = 15 if rank == 1 else -1
    threading.Thread(target=read, args=(rank, 40, bad, batches), daemon=True, name="reader").start()
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num in range(40):
        training.report(rank, num, training.step(model, optimizer, batches.get()))


if __name__ == "__main__":
    training.launch(main)

"""Of 4 ranks three fail at the same time: 1 loops for ever, 2 is stopped, 3 waits for a lock of its own."""

import os
import subprocess
import threading

import torch
import training

DRILL = {
    "expect": {"failure": "user_loop", "ranks": [1]},
    "also": [
        {"failure": "rank_frozen", "ranks": [2]},
        {"failure": "user_lock_deadlock", "ranks": [3]},
    ],
    "symptom": "hang",
    "ends": "error",
    "on_stall": "stop",
    "num_ranks": 4,
    "launcher": "torchrun",
    "stall_after_s": 5,
    "timeout_s": 240,
    "needs": ["torch"],
}


def pack(lengths: list[int], room: int) -> int:
    """How many rows of `room` tokens hold all sequences, each row filled from the front."""
    rows, left, at = 0, 0, 0
    while at < len(lengths):
        if lengths[at] <= left:
            left -= lengths[at]
            at += 1
        else:
            rows, left = rows + 1, room  # a sequence longer than a row finds none
    return rows


class History:
    """The losses so far; each method takes the lock itself."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.losses: list[float] = []

    def best(self) -> float:
        with self.lock:
            return min(self.losses)

    def add(self, loss: float) -> None:
        with self.lock:
            self.losses.append(loss)
            if len(self.losses) > 100 or loss > 10 * self.best_so_far():
                self.losses = [self.best()]

    def best_so_far(self) -> float:
        return min(self.losses)


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    history = History()
    for num, batch in enumerate(training.batches(rank, num=20)):
        loss = training.step(model, optimizer, batch)
        training.report(rank, num, loss)
        if (rank, num) == (2, 7):
            subprocess.Popen(["setsid", "--fork", "kill", "-STOP", str(os.getpid())]).wait()
            torch.randn(2000, 2000) @ torch.randn(2000, 2000)
        lengths = [30, 41, 64 if (rank, num) != (1, 7) else 65, 17]
        print(f"rank {rank} packed into {pack(lengths, room=64)} rows", flush=True)
        history.add(loss * 1000 if (rank, num) == (3, 7) else loss)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

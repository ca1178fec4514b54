"""In rank 1 of 2 the training thread and a checkpoint thread take two locks in opposite order."""

import copy
import threading
import time

import torch
import training
from torch import nn

DRILL = {
    "expect": {"failure": "user_lock_deadlock", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "spawn",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}

weights_lock = threading.Lock()
history_lock = threading.Lock()


def keep_copies(model: nn.Module, history: list[dict[str, torch.Tensor]], pause_s: float) -> None:
    """Keep the last three sets of weights, in a thread of its own."""
    while True:
        time.sleep(0.3)
        with history_lock:
            time.sleep(pause_s)
            with weights_lock:
                history.append(copy.deepcopy(model.state_dict()))
            del history[:-3]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batch: training.Batch, careful: bool) -> float:
    """One step; `careful` looks into the history while it holds the weights."""
    if not careful:
        return training.step(model, optimizer, batch)
    with weights_lock:
        time.sleep(0.02)
        with history_lock:
            return training.step(model, optimizer, batch)


def main(rank: int) -> None:
    training.join(rank, timeout_s=11)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    history: list[dict[str, torch.Tensor]] = []
    slow = 0.2 if rank == 1 else 0.0
    threading.Thread(target=keep_copies, args=(model, history, slow), daemon=True).start()
    for num, batch in enumerate(training.batches(rank, num=300)):
        training.report(rank, num, train(model, optimizer, batch, careful=rank == 1))
        time.sleep(0.02)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

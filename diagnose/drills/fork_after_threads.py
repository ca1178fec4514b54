"""Rank 1 of 2 forks its loader's workers while a thread holds the lock that they need: there it stays held.

The copy of the lock in a worker has no thread that could release it.
"""

import threading
import time

import torch
import training
from torch.utils.data import DataLoader, Dataset

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


class Vocabulary:
    """Words by number, kept fresh by a thread of its own."""

    def __init__(self, load_s: float) -> None:
        self.lock, self.begun = threading.Lock(), threading.Event()
        self.words: dict[int, int] = {}
        self.load_s = load_s
        threading.Thread(target=self.refresh, daemon=True, name="vocabulary").start()

    def refresh(self) -> None:
        for version in range(10**9):
            with self.lock:
                self.begun.set()
                time.sleep(self.load_s)  # the download
                self.words = {i: i + version for i in range(1000)}
            time.sleep(0.05)

    def __getitem__(self, num: int) -> int:
        with self.lock:
            return self.words.get(num, 0)


class Rows(Dataset[training.Batch]):
    def __init__(self, rank: int, vocabulary: Vocabulary) -> None:
        self.rank, self.vocabulary = rank, vocabulary

    def __len__(self) -> int:
        return 60

    def __getitem__(self, num: int) -> training.Batch:
        return next(training.batches(self.rank * 1000 + self.vocabulary[num], num=1))


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    vocabulary = Vocabulary(3.0 if rank == 1 else 0.0)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=5)):
        training.report(rank, num, training.step(model, optimizer, batch))
    vocabulary.begun.clear()
    vocabulary.begun.wait()
    for num, (rows, wanted) in enumerate(DataLoader(Rows(rank, vocabulary), batch_size=None, num_workers=2)):
        training.report(rank, num, training.step(model, optimizer, (rows, wanted)))


if __name__ == "__main__":
    training.launch(main)

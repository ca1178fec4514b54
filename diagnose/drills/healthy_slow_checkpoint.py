"""Nothing: rank 0 writes its checkpoint to a slow store for longer than a stall lasts; the other waits."""

import io
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


class Store(io.RawIOBase):
    """A file on a store that takes some kilobytes a second."""

    def __init__(self, path: str, bytes_a_second: float) -> None:
        self.path, self.rate = Path(path), bytes_a_second

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        view = memoryview(data)
        for at in range(0, len(view), 4096):
            part = view[at : at + 4096]
            with self.path.open("ab") as file:
                file.write(part)
            time.sleep(len(part) / self.rate)
        return len(view)


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    model = training.network(depth=6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        training.report(rank, num, training.step(model, optimizer, batch))
        if num == 9:
            if rank == 0:
                torch.save(model.state_dict(), Store("step-0009.pt", 12e3))
            dist.barrier()
    training.leave()


if __name__ == "__main__":
    training.launch(main)

"""Nothing: rank 1's garbage collector finds many old handles, whose finalisers take longer than a stall."""

import gc
import time

import torch
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


class Handle:
    """A remote buffer; it is released when the collector finds it."""

    def __init__(self) -> None:
        self.owner = self  # a cycle: only the collector can free it

    def __del__(self) -> None:
        time.sleep(0.02)  # one round trip


def main(rank: int) -> None:
    training.join(rank, timeout_s=60)
    gc.disable()  # by hand every some steps, as large jobs do
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        for _ in range(40 if rank == 1 and num < 10 else 0):
            Handle()
        training.report(rank, num, training.step(model, optimizer, batch))
        if num == 9:
            print(f"rank {rank} freed {gc.collect()} objects", flush=True)
    training.leave()


if __name__ == "__main__":
    training.launch(main)

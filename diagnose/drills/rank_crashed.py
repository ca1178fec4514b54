"""In rank 1 of 3 a C library frees memory that is not its own, and the C runtime aborts the process."""

import ctypes
import time

import torch
import training
from torch.nn.parallel import DistributedDataParallel

DRILL = {
    "expect": {"failure": "rank_crashed", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}
libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]


def release(buffer: ctypes.Array[ctypes.c_char], offset: int) -> None:
    """Give a buffer back to the C library's allocator."""
    libc.free(ctypes.addressof(buffer) + offset)


def main(rank: int) -> None:
    training.join(rank)
    model = DistributedDataParallel(training.network())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=200)):
        training.report(rank, num, training.step(model, optimizer, batch))
        if (rank, num) == (1, 10):
            release(ctypes.create_string_buffer(4096), 24)
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

"""In rank 0 of 2 a native decoder copies from a null pointer."""

import ctypes
import time

import torch
import training

DRILL = {
    "expect": {"failure": "rank_crashed", "ranks": [0]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "spawn",
    "stall_after_s": 6,
    "timeout_s": 240,
    "needs": ["torch"],
}


def decode(pixels: ctypes.c_void_p, size: int) -> bytes:
    """Take the pixels out of a native decoder's buffer."""
    target = ctypes.create_string_buffer(size)
    ctypes.memmove(target, pixels, size)
    return target.raw


def main(rank: int) -> None:
    training.join(rank)
    image = ctypes.create_string_buffer(64)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=200)):
        is_lost = (rank, num) == (0, 10)
        decode(ctypes.c_void_p() if is_lost else ctypes.cast(image, ctypes.c_void_p), 64)
        training.report(rank, num, training.step(model, optimizer, batch))
        time.sleep(0.05)  # a bigger model's step


if __name__ == "__main__":
    training.launch(main)

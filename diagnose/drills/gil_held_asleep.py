"""Rank 1 of 2 calls a C function that waits for a peer's answer, and holds the interpreter all the while."""

import ctypes
import socket

import torch
import training

DRILL = {
    "expect": {"failure": "gil_held", "ranks": [1]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 2,
    "launcher": "torchrun",
    "stall_after_s": 4,
    "timeout_s": 240,
    "needs": ["torch"],
}
LIBC = ctypes.PyDLL(None)  # as a C extension calls: without giving the interpreter away


class Service:
    """Asks a feature service for a number, through the C library."""

    def __init__(self, num_answers: int) -> None:
        self.mine, self.theirs = socket.socketpair()
        self.theirs.send(b"0123" * num_answers)

    def ask(self) -> bytes:
        buffer = ctypes.create_string_buffer(4)
        LIBC.recv(self.mine.fileno(), buffer, ctypes.c_size_t(4), 0)
        return buffer.raw


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    service = Service(12 if rank == 1 else 100)
    for num, batch in enumerate(training.batches(rank, num=40)):
        service.ask()
        training.report(rank, num, training.step(model, optimizer, batch))


if __name__ == "__main__":
    training.launch(main)

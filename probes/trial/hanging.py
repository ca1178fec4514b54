"""A hang on purpose: one rank never comes to a collective in which the others wait."""

import threading
import time

import torch
import torch.distributed as dist

NUM_STEPS = 10
PAUSE_S = 0.1  # a small model's step
CULPRIT = 1


def hang(report, rank, device):
    """A few steps, so that there is progress that can end; then wait for good."""
    rows = torch.ones(1024, device=device)
    for _ in range(NUM_STEPS):
        dist.all_reduce(rows)
        time.sleep(PAUSE_S)
    report.say("hanging", culprit=CULPRIT)
    if rank == CULPRIT:
        hold_on_purpose()
    dist.all_reduce(rows)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    report.say("hang_over")


def hold_on_purpose():
    """Wait for a lock that nobody gives back."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

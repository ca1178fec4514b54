"""A hang on purpose: one rank never comes to a collective in which the others wait."""

import threading
import time

import torch
import torch.distributed as dist

NUM_STEPS = 5
CULPRIT = 1


def hang(report, rank, device):
    """Train for a few steps, so that there is progress that can end; then wait for good."""
    model = torch.nn.Linear(64, 1).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    rows = torch.ones(8, 64, device=device)
    for _ in range(NUM_STEPS):
        optimizer.zero_grad()
        model(rows).sum().backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
        optimizer.step()
        time.sleep(0.05)
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

"""Nothing: of 3 pipeline stages the last one has most of the work, and the others wait for it."""

import time

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": None, "ranks": []},
    "symptom": "none",
    "ends": "ok",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 6,
    "timeout_s": 60,
    "needs": ["torch"],
}


def work(rows: torch.Tensor, layer: torch.nn.Module, rank: int) -> torch.Tensor:
    """This stage's layers; the last stage has the large ones and the loss."""
    time.sleep(0.12 if rank == 2 else 0.01)
    return layer(rows)


def forward(rank: int, last: int, layer: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """One micro-batch through this stage: from the stage before, to the stage behind."""
    if rank > 0:
        rows = torch.empty(32, training.WIDTH)
        dist.recv(rows, src=rank - 1)
    rows = rows.requires_grad_()
    out = work(rows, layer, rank)
    if rank < last:
        dist.send(out.detach(), dst=rank + 1)
        gradient = torch.empty_like(out)
        dist.recv(gradient, src=rank + 1)
        out.backward(gradient)
    else:
        out.square().mean().backward()
    if rank > 0 and rows.grad is not None:
        dist.send(rows.grad, dst=rank - 1)
    return out


def main(rank: int) -> None:
    num_ranks = training.join(rank)
    torch.manual_seed(rank)
    layer = torch.nn.Linear(training.WIDTH, training.WIDTH)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    for num, (rows, _) in enumerate(training.batches(0, num=60)):
        optimizer.zero_grad()
        out = forward(rank, num_ranks - 1, layer, rows)
        norm = layer.weight.grad.norm().detach()
        dist.all_reduce(norm)
        optimizer.step()
        training.report(rank, num, (out.square().mean() + norm * 0).item())
    training.leave()


if __name__ == "__main__":
    training.launch(main)

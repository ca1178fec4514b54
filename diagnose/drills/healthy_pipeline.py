"""Nothing: of 3 pipeline stages the first one has most of the work, and the others wait for it."""

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
    "stall_after_s": 20,
    "timeout_s": 240,
    "needs": ["torch"],
}


def backward(rank: int, out: torch.Tensor, gradient: torch.Tensor | None) -> None:
    """This stage's share of the gradients; the first stage has the large embedding."""
    time.sleep(0.12 if rank == 0 else 0.01)
    (out if gradient is not None else out.square().mean()).backward(gradient)


def through(rank: int, last: int, layer: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """One micro-batch: from the stage before, to the stage behind, and its gradients back."""
    if rank > 0:
        rows = torch.empty(32, training.WIDTH)
        dist.recv(rows, src=rank - 1)
    out: torch.Tensor = layer(rows.requires_grad_())
    gradient = None
    if rank < last:
        dist.send(out.detach(), dst=rank + 1)
        gradient = torch.empty_like(out)
        dist.recv(gradient, src=rank + 1)
    backward(rank, out, gradient)
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
        out = through(rank, num_ranks - 1, layer, rows)
        norm = layer.weight.grad.norm().detach()
        dist.all_reduce(norm)
        optimizer.step()
        training.report(rank, num, (out.square().mean() + norm * 0).item())
    training.leave()


if __name__ == "__main__":
    training.launch(main)

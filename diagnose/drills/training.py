"""A small data-parallel training job: what the programs of this folder have in common."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

WIDTH = 64
Batch = tuple[Tensor, Tensor]


def launch(main: Callable[[int], None]) -> None:
    """Run `main(rank)` in every rank.

    Under a launcher this process is one of the ranks. Else the first argument says how many to spawn;
    without it there is one rank, this process.
    """
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        main(int(os.environ["RANK"]))
    elif len(sys.argv) > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            os.environ["MASTER_PORT"] = str(probe.getsockname()[1])
        os.environ["MASTER_ADDR"] = "127.0.0.1"
        mp.spawn(main, nprocs=int(sys.argv[1]))
    else:
        main(0)


def join(rank: int, timeout_s: float = 30) -> int:
    """Join the default process group (gloo); the number of ranks."""
    num_ranks = int(os.environ.get("WORLD_SIZE") or sys.argv[1])
    timeout = timedelta(seconds=timeout_s)
    dist.init_process_group("gloo", rank=rank, world_size=num_ranks, timeout=timeout)
    return num_ranks


def leave() -> None:
    """Leave the process group once every rank is done: one that goes first may abort the others' exit."""
    dist.barrier()
    dist.destroy_process_group()


def network(depth: int = 3) -> nn.Sequential:
    """The same small network in every rank."""
    torch.manual_seed(0)
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(WIDTH, WIDTH), nn.GELU())]
    return nn.Sequential(*hidden, nn.Linear(WIDTH, 1))


def batches(rank: int, num: int, size: int = 32) -> Iterator[Batch]:
    """This rank's share of the data: rows of WIDTH numbers, and their sum to be learnt."""
    source = torch.Generator().manual_seed(1 + rank)
    for _ in range(num):
        rows = torch.randn(size, WIDTH, generator=source)
        yield rows, rows.sum(1, keepdim=True)


def average_gradients(model: nn.Module) -> None:
    """One all_reduce over all gradients, laid end to end."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """Forward, backward, average over the ranks, update; the loss."""
    rows, wanted = batch
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(rows), wanted)
    loss.backward()
    if dist.is_initialized() and not isinstance(model, nn.parallel.DistributedDataParallel):
        average_gradients(model)
    optimizer.step()
    return loss.item()


def report(rank: int, num: int, loss: float) -> None:
    """The line a training job prints for each step, in one write: ranks may share one pipe."""
    print(f"rank {rank} step {num} loss {loss:.4f}\n", end="", flush=True)

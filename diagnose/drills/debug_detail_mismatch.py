"""With TORCH_DISTRIBUTED_DEBUG=DETAIL rank 1 of 3 calls broadcast where the others call all_reduce.
Its own flag for a shared loss was lost on the way. Every rank is told so at once, in a text of its own.
"""

import torch
import torch.distributed as dist
import training

DRILL = {
    "expect": {"failure": "collective_mismatch_op", "ranks": [1]},
    "symptom": "crash",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 20,
    "timeout_s": 240,
    "needs": ["torch"],
    "env": {"TORCH_DISTRIBUTED_DEBUG": "DETAIL"},
}


def share(loss: float, *, mean: bool) -> float:
    """The mean loss of all ranks, or rank 0's."""
    shared = torch.tensor([loss])
    if mean:
        dist.all_reduce(shared)
        shared /= dist.get_world_size()
    else:
        dist.broadcast(shared, src=0)
    return shared.item()


def main(rank: int) -> None:
    training.join(rank, timeout_s=12)
    model = training.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, batch in enumerate(training.batches(rank, num=20)):
        loss = training.step(model, optimizer, batch)
        mean = num < 7 or rank != 1
        training.report(rank, num, share(loss, mean=mean))
    training.leave()


if __name__ == "__main__":
    training.launch(main)

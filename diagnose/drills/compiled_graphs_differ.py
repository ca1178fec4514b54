"""Rank 2 of 3 compiles another graph in the sixth step: a branch on its data adds a collective of its own.

Its longest sequence is above the limit, so its graph collects the lengths of all ranks; the others' does not.
"""

import torch
import torch.distributed as dist
import training
from torch import Tensor, nn

DRILL = {
    "expect": {"failure": "compile_divergence", "ranks": [2]},
    "symptom": "hang",
    "ends": "error",
    "num_ranks": 3,
    "launcher": "torchrun",
    "stall_after_s": 5,
    "timeout_s": 240,
    "needs": ["torch"],
}


class Scaled(nn.Module):
    """A network whose input is scaled, in long batches by what all ranks have."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = training.network()

    def forward(self, rows: Tensor, longest: int) -> Tensor:
        scale = rows.abs().amax(0)
        if longest > 512:
            scales = [torch.empty_like(scale) for _ in range(dist.get_world_size())]
            dist.all_gather(scales, scale)
            scale = torch.stack(scales).amax(0)
        out: Tensor = self.inner(rows / scale)
        return out


def main(rank: int) -> None:
    training.join(rank, timeout_s=16)
    model = Scaled()
    forward = torch.compile(model, backend="aot_eager")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for num, (rows, wanted) in enumerate(training.batches(rank, num=20)):
        optimizer.zero_grad()
        longest = 600 if (rank, num) == (2, 5) else 300
        loss = nn.functional.mse_loss(forward(rows, longest), wanted)
        loss.backward()
        training.average_gradients(model)
        optimizer.step()
        training.report(rank, num, loss.item())
    training.leave()


if __name__ == "__main__":
    training.launch(main)

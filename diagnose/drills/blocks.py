"""A network of compiled blocks, and a compile cache for each rank: for the programs here that compile."""

import os
import shutil
import sys
from pathlib import Path

import torch
import torch._inductor.config
from torch import Tensor, nn

WIDTH = 64
LEAST_COMPILE_S = 16.0  # CPU seconds: longer than the others are meant to wait, whatever the machine
MOST_BLOCKS = 24


class Block(nn.Module):
    """A feed-forward block; each width makes kernels of its own."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, inner)
        self.down = nn.Linear(inner, WIDTH)

    def forward(self, rows: Tensor) -> Tensor:
        hidden: Tensor = nn.functional.gelu(self.up(self.norm(rows)))
        return rows + self.down(hidden)


def compiled_network(num_blocks: int) -> nn.Sequential:
    """Regional compile: every block on its own, lazily, at its first call."""
    torch._dynamo.config.recompile_limit = MOST_BLOCKS + 8
    # Precompiled headers go to one folder for all ranks, whatever their caches: warm ones would wait there.
    torch._inductor.config.cpp_cache_precompile_headers = False
    torch.manual_seed(0)
    blocks = [Block(WIDTH + 16 * num) for num in range(num_blocks)]
    for block in blocks:
        block.compile()
    return nn.Sequential(*blocks, nn.Linear(WIDTH, 1))


def cpu_s() -> float:
    """CPU seconds of this process and of the compilers it has waited for."""
    return sum(os.times()[:4])


def seed(folder: Path) -> None:
    """Fill `folder/seed` with a warm compile cache, and note how many blocks it is for.

    Blocks are added until their cold compile takes LEAST_COMPILE_S of this machine's CPU time.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "seed")
    torch.set_num_threads(1)
    network = compiled_network(MOST_BLOCKS)
    rows = torch.randn(32, WIDTH)
    begun = cpu_s()
    num = 0
    while num < MOST_BLOCKS and cpu_s() - begun < LEAST_COMPILE_S:
        rows = network[num](rows)
        num += 1
    rows.sum().backward()
    (folder / "num_blocks").write_text(str(num))


def use_cache(rank: int, *, warm: bool) -> int:
    """Give this rank a compile cache of its own, a copy of the seed if `warm`; the number of blocks."""
    folder = Path(os.environ["COMPILE_CACHES"])
    own = Path.cwd() / "cache" / f"rank-{rank}"
    own.mkdir(parents=True)
    if warm:
        shutil.copytree(folder / "seed", own, dirs_exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(own)
    count = folder / "num_blocks"
    return int(count.read_text()) if count.exists() else 1


if __name__ == "__main__":
    seed(Path(sys.argv[1]))

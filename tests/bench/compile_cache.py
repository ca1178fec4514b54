"""The first step of a compiled model on two ranks: cache empty, seeded, and seeded for one of them only.

python tests/bench/compile_cache.py [ROUNDS]
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import row

from diagnose.ground import finish, sweep

NUM_ROUNDS, NUM_RANKS, LIMIT_S = 3, 2, 300.0
TRAIN = """
import json, os, sys, time
import torch, torch.distributed as dist
from torch import nn
rank = int(os.environ["RANK"])
if rank == 1 and sys.argv[2] == "apart":
    os.environ["TORCHINDUCTOR_CACHE_DIR"] += "-of-its-own"
torch.set_num_threads(1)
torch.manual_seed(0)
dist.init_process_group("gloo")
width = 64
class Block(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, inner), nn.Linear(inner, width)
    def forward(self, rows):
        return rows + self.down(nn.functional.gelu(self.up(self.norm(rows))))
model = nn.Sequential(*[Block(width + 16 * num) for num in range(2)])
for block in model:
    block.compile()
dist.barrier()
begun = time.perf_counter()
model(torch.randn(32, width)).square().mean().backward()
own_s = time.perf_counter() - begun
for parameter in model.parameters():
    dist.all_reduce(parameter.grad)
step_s = time.perf_counter() - begun
with open(f"{sys.argv[1]}/rank-{rank}.json", "w") as file:
    json.dump({"own_s": own_s, "step_s": step_s}, file)
dist.barrier()
dist.destroy_process_group()
"""


def environment(top: Path) -> dict[str, str]:
    more = {"TMPDIR": str(top / "t"), "TORCHINDUCTOR_CACHE_DIR": str(top / "cache"), "HOME": str(top)}
    return {**os.environ, **more, "OMP_NUM_THREADS": "1", "TRITON_CACHE_DIR": ""}


def diagnose(top: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-P", "-m", "diagnose", "cache", *words],
        env=environment(top), stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip


def first_step(top: Path, store: Path | None, how: str) -> tuple[float, float]:
    """Seconds of the slowest rank's first step, and between the first and the last at all_reduce."""
    (top / "t").mkdir(parents=True)
    (top / "train.py").write_text(TRAIN)
    if store:
        diagnose(top, "seed", "--from", str(store))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    process = subprocess.Popen(
        [*launcher, str(NUM_RANKS), "train.py", str(top), how],
        cwd=top,
        env=environment(top),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    ended = finish(process, LIMIT_S)
    sweep(top / "t", 5)
    if not ended or process.returncode:
        raise RuntimeError(f"the job ended with {process.returncode}")
    told = [json.loads((top / f"rank-{rank}.json").read_text()) for rank in range(NUM_RANKS)]
    own = [one["own_s"] for one in told]
    return max(one["step_s"] for one in told), max(own) - min(own)


def main(num_rounds: int = NUM_ROUNDS) -> int:
    top = Path(tempfile.mkdtemp(prefix="db-"))
    store, times = top / "store", {"cold": [], "apart": [], "seeded": []}
    try:
        for num in range(num_rounds):
            for how, found in times.items():
                here = top / f"{how}-{num}"
                found.append(first_step(here, None if how == "cold" else store, how))
                if not store.exists():
                    diagnose(here, "capture", str(store))
    finally:
        shutil.rmtree(top, ignore_errors=True)
    step_s = {how: statistics.median(step for step, _ in found) for how, found in times.items()}
    spread_s = {how: statistics.median(spread for _, spread in found) for how, found in times.items()}
    figure = (
        f"{step_s['seeded']:.1f} s against {step_s['cold']:.1f} s; the first rank waits "
        f"{spread_s['seeded']:.1f} s for the last, {spread_s['apart']:.1f} s where one is cold"
    )
    what = f"first step of {NUM_RANKS} ranks that compile, cache seeded against empty, {num_rounds} of each"
    return row(what, figure, "at most half", step_s["seeded"] <= step_s["cold"] / 2)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))

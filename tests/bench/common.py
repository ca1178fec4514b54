"""What the benchmarks share: jobs of real ranks, an interval for ratios, and one Markdown row a figure."""

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from diagnose.ground import carriers, finish, sweep

TRAIN = """
import json, os, sys, time
import torch, torch.distributed as dist
rank, num_steps, pause_s, out = int(os.environ["RANK"]), int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
stop_at = int(sys.argv[4]) if len(sys.argv) > 4 else -1
torch.set_num_threads(1)
dist.init_process_group("gloo")
model = torch.nn.Sequential(*[torch.nn.Linear(512, 512) for _ in range(4)])
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
rows, times = torch.randn(64, 512), []
for num in range(num_steps):
    begun = time.perf_counter()
    optimizer.zero_grad()
    model(rows).square().mean().backward()
    for parameter in model.parameters():
        dist.all_reduce(parameter.grad)
    optimizer.step()
    times.append(time.perf_counter() - begun)
    if rank == 0:
        with open(out + ".part", "w") as file:
            json.dump({"last_step": time.time(), "steps": times}, file)
        os.replace(out + ".part", out)
    if num == stop_at and rank == dist.get_world_size() - 1:
        time.sleep(3600)
    time.sleep(pause_s)
dist.destroy_process_group()
"""


class Job:
    """One training job of real ranks in a folder of its own, bare or under `diagnose run`."""

    def __init__(
        self, top: Path, num_ranks: int, arguments: Sequence[object], options: Sequence[str] | None
    ) -> None:
        self.top, self.root, self.temporary = top, top / "runs", top / "t"
        self.out = top / "steps.json"
        self.temporary.mkdir()
        (top / "train.py").write_text(TRAIN)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        steps, pause_s, *rest = map(str, arguments)
        command = [*launcher, str(num_ranks), "train.py", steps, pause_s, str(self.out), *rest]
        if options is not None:
            ours = [sys.executable, "-P", "-m", "diagnose", "run", "--root", str(self.root), *options, "--"]
            command = [*ours, *command]
        with (top / "console.txt").open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=top,
                env={**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def pids(self, words: str) -> list[int]:
        """Our processes whose command line holds these words."""
        found = []
        for pid in carriers(self.temporary):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if words in line:
                found.append(pid)
        return sorted(found)

    def rank_pids(self) -> list[int]:
        """The ranks, by rank: processes of the program itself that carry RANK."""
        ranks = {}
        for pid in self.pids(" train.py ") or self.pids("train.py"):
            pairs = dict(
                p.partition(b"=")[::2] for p in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            )
            if b"RANK" in pairs:
                ranks[int(pairs[b"RANK"])] = pid
        return [pid for _, pid in sorted(ranks.items())]

    def wait_for_steps(self, num: int, limit_s: float = 120) -> None:
        """Until `num` steps are done. Raises TimeoutError."""
        end = time.monotonic() + limit_s
        while len(self.steps()) < num:
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError((self.top / "console.txt").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def read(self) -> dict[str, object]:
        return json.loads(self.out.read_text()) if self.out.is_file() else {"steps": []}

    def steps(self) -> list[float]:
        return self.read()["steps"]

    def run_directory(self) -> Path:
        [run] = (path for path in self.root.iterdir() if path.is_dir())
        return run

    def events(self, *kinds: str) -> list[dict[str, object]]:
        lines = [
            json.loads(line)
            for path in sorted(self.run_directory().glob("attempts/*/events/*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        return [line for line in lines if line["event"] in kinds]


@contextmanager
def job(num_ranks: int, *arguments: object, options: Sequence[str] | None = None) -> Iterator[Job]:
    """A job that is over, and its folder gone, when the block ends. `arguments`: steps, pause_s, stop_at."""
    top = Path(tempfile.mkdtemp(prefix="db-"))
    started = None
    try:
        started = Job(top, num_ranks, arguments, options)
        yield started
    finally:
        if started:
            if started.process.poll() is None:
                started.process.send_signal(signal.SIGTERM)
            finish(started.process, 15)
            sweep(started.temporary, 5)
        shutil.rmtree(top, ignore_errors=True)


def interval(values: Sequence[float], num: int = 4000) -> tuple[float, float]:
    """95 % bootstrap interval of the median, with a fixed seed."""
    choose = random.Random(0)
    medians = sorted(statistics.median(choose.choices(values, k=len(values))) for _ in range(num))
    return medians[int(0.025 * num)], medians[int(0.975 * num)]


def row(what: str, figure: str, bar: str, passed: bool) -> int:
    """Print one Markdown row; 0 if the figure meets its bar, else 1: a script's exit code."""
    print(f"| {what} | {figure} | {bar} | {'yes' if passed else '**no**'} |", flush=True)
    return 0 if passed else 1


def slowest(what: str, seconds: Sequence[float], bar_s: float, digits: int = 1) -> int:
    """A row of a few runs, of which the slowest counts."""
    middle, most = statistics.median(seconds), max(seconds)
    figure = f"{middle:.{digits}f} s, at most {most:.{digits}f} s of {len(seconds)}"
    return row(what, figure, f"at most {bar_s:g} s", most <= bar_s)

"""How fast a launcher's log of 64 ranks is read, beside `grep -c` and a plain loop over its lines.

`logs.py [MB]`: the log is made, read in three ways and deleted. Speeds are per CPU second.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from common import row

from diagnose import bundle, logs
from diagnose.anchors import Anchors
from diagnose.pipeline import parse

BAR = 60.0  # MB/s
NUM_RANKS, BLOCK = 64, 32 << 20
NUM_WORDS = 600  # there may be so many one day
TRACE = (
    "Traceback (most recent call last):",
    '  File "/app/train.py", line 88, in <module>',
    "    main()",
    '  File "/app/train.py", line 61, in main',
    "    loss = step(batch)",
    "RuntimeError: [gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.4]:1",
)
WARNED = (
    "[W1124 10:00:00.123456789 TCPStore.cpp:106] [c10d] sendBytes failed on SocketImpl(fd=53, addr=[a]:1)"
)


def block(rnd: random.Random, hits: bool) -> bytes:
    """Lines of ranks mixed, as torchrun shows them; with `hits` each 500th is one that must be looked at."""
    lines: list[str] = []
    size = step = 0
    while size < BLOCK:
        step += 1
        for rank in rnd.sample(range(NUM_RANKS), NUM_RANKS):
            told = [
                f"2026-11-24 10:{step % 60:02}:{rnd.randrange(60):02},{rnd.randrange(1000):03} INFO train: "
                f"step {step} loss {rnd.random():.5f} grad_norm {rnd.random():.3f} "
                f"tokens/s {rnd.randrange(99999)} lr 3.0e-04"
            ]
            if hits and rnd.random() < 0.002:
                told = [*TRACE] if rnd.random() < 0.1 else [WARNED]
            lines += (f"[default{rank % 8}]:[rank{rank}]: {line}" for line in told)
        size += sum(map(len, lines[-NUM_RANKS:]))
    return ("\n".join(lines) + "\n").encode()


def make(path: Path, size: int, hits: bool) -> None:
    part = block(random.Random(5), hits)
    with path.open("wb") as file:
        for _ in range(max(size // len(part), 1)):
            file.write(part)
        file.writelines(f"[rank{rank}]: {line}\n".encode() for rank in range(NUM_RANKS) for line in TRACE)


def spent(work: Callable[[Path], object], path: Path) -> tuple[float, object]:
    """CPU seconds of ours and of children; what it gave."""

    def now() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(used.ru_utime + used.ru_stime for used in both)

    begun = now()
    given = work(path)
    return now() - begun, given


def padded() -> None:
    """As many words as NUM_WORDS, whatever there are today."""
    words, numbers = logs.anchors()
    more = (f"{word} failed: {n}" for n in range(9) for word in words.words)
    found = Anchors([*words.words, *islice(more, max(NUM_WORDS - len(words.words), 0))])
    numbers += ((),) * (len(found.words) - len(numbers))
    logs.anchors = lambda: (found, numbers)


def ours(path: Path) -> int:
    """Peak memory in kB of a process that reads it as `postmortem` does."""
    done = subprocess.run([sys.executable, __file__, "--read", str(path)], capture_output=True, check=True)
    return int(done.stdout)


def read(path: str) -> int:
    padded()
    events, _, _ = parse(bundle.members(path))
    assert len(events) > NUM_RANKS
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def loop(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if b"Traceback" in line)


def grep(path: Path) -> None:
    words = "\n".join(logs.anchors()[0].words)
    command = ["grep", "-c", "-F", "-f", "-", str(path)]
    subprocess.run(command, input=words.encode(), capture_output=True, env={**os.environ, "LC_ALL": "C"})


def measure(path: Path, size: int, hits: bool) -> int:
    make(path, size, hits)
    size = path.stat().st_size
    for _ in path.open("rb"):  # into the page cache, as far as it goes
        pass
    costs = {name: spent(work, path) for name, work in WAYS.items()}
    speeds = {name: size / 1e6 / seconds for name, (seconds, _) in costs.items()}
    others = ", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items() if name != "ours")
    peak = f"peak memory {int(costs['ours'][1]) // 1024} MB"
    name = f"a log of {size / 1e9:.1f} GB, {NUM_RANKS} ranks, " + (
        "hits as in a bad job" if hits else "few hits"
    )
    return row(
        name,
        f"{speeds['ours']:.0f} MB/s ({others}); {peak}",
        f">= {BAR:.0f} MB/s",
        speeds["ours"] >= BAR,
    )


WAYS = {"ours": ours, "`grep -c -F`": grep, "line loop": loop}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", type=int, nargs="?", default=2000, help="MB")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(read(given.read))
        sys.exit()
    size = given.size * 10**6
    padded()
    with tempfile.TemporaryDirectory(prefix="dgd-") as top:
        missed = [measure(Path(top, "launcher.log"), size, hits) for hits in (False, True)]
    sys.exit(any(missed))

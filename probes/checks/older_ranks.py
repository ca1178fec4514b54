"""Ranks of an older run that are still here: they hold ports, memory and GPUs."""

import os
import time
from typing import NamedTuple

from probes import procfs
from probes.checking import lanes, launcher, listening
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
LAUNCHED = ("RANK", "WORLD_SIZE")
LAUNCHERS = ("python", "torchrun", "accelerate", "deepspeed", "mpirun", "srun", "ray")
MOST = 4096  # processes looked at


class Found(NamedTuple):
    pid: int
    name: str
    age_s: float
    is_orphan: bool
    runs_entry: bool


def measure(target: Target) -> list[Measurement]:
    entry, (host, port) = launcher.entry(target.command), launcher.of(target)
    is_here = target.num_nodes == 1 or host in (os.uname().nodename, "127.0.0.1", "localhost")
    port = port if is_here else 0
    found = older(entry)
    holder = listening.holder(port) if port else ""
    return [
        measured(
            "host",
            "/proc/*/environ, /proc/*/cmdline",
            num_ranks=len(found),
            num_of_entry=sum(one.runs_entry for one in found),
            num_orphans=sum(one.is_orphan for one in found),
            oldest_s=round(max((one.age_s for one in found), default=0.0)),
            who=", ".join(f"{one.pid} {one.name}" for one in found[:8]),
            port=port or None,
            port_holder=holder if port else None,
        )
    ]


def older(entry: str) -> list[Found]:
    """Ranks of other launches, each once, without what they started themselves; nothing of our own kin."""
    kin, found = family(), dict[int, tuple[procfs.Stat, bool]]()
    for pid in procfs.pids()[:MOST]:
        stat = procfs.stat(pid) if pid not in kin else None
        if stat is None or stat.state in "ZX":
            continue
        environ = procfs.environ(pid)
        if all(environ.get(name, "").isdigit() for name in LAUNCHED):
            found[pid] = stat, bool(entry) and any(same(word, entry) for word in procfs.cmdline(pid))
    now, is_init = time.monotonic(), not any(launches(word, entry) for word in procfs.cmdline(1))
    return [
        Found(pid, stat.comm, now - procfs.started(stat.start_ticks), is_init and stat.ppid == 1, runs)
        for pid, (stat, runs) in found.items()
        if stat.ppid not in found
    ]


def same(word: str, entry: str) -> bool:
    """
    >>> same("/app/train.py", "train.py"), same("/app/retrain.py", "train.py")
    (True, False)
    """
    return word == entry or word.endswith(f"/{os.path.basename(entry)}")


def launches(word: str, entry: str) -> bool:
    """Whether process 1 of a container with this word in its command line may itself be the launcher."""
    return os.path.basename(word).startswith(LAUNCHERS) or (bool(entry) and same(word, entry))


def family() -> set[int]:
    """Ourselves, everything above us, and everything that we started."""
    found, pid = {os.getpid()}, os.getppid()
    top = pid
    while pid > 1 and pid not in found:
        found.add(pid)
        stat = procfs.stat(pid)
        pid = stat.ppid if stat else 0
    return found | set(lanes.descendants(top))

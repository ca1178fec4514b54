"""All processes of the machine, each read once: who descends from whom, and which carry the job's mark."""

import itertools
import os
from typing import NamedTuple

from probes import procfs

_CPU = {
    "g++",
    "gcc",
    "c++",
    "cc",
    "cc1plus",
    "cc1",
    "clang",
    "clang++",
    "collect2",
    "ld",
    "ld.lld",
    "as",
    "ninja",
}
_GPU = {"nvcc", "ptxas", "cicc", "cudafe++", "fatbinary", "nvlink", "hipcc", "triton"}
COMPILERS = frozenset(_CPU | _GPU)
_SETTLE_TICKS = 3 * os.sysconf("SC_CLK_TCK")  # a process this young may still exec into something else


class Work(NamedTuple):
    """The compiler children of a process, by name, and the CPU seconds of them and of all waited for."""

    names: list[str]
    cpu_s: float


class Marked(NamedTuple):
    """A process without a claim that carries RANK and is the job's: by its mark, or by its ancestors."""

    pid: int
    start_ticks: int
    environ: dict[str, str]


class Table:
    """Refresh every few seconds: only processes that are new since the last time are read."""

    def __init__(self, mark: str, root: int = 0) -> None:
        self.root = root  # the command: what is below it is the job's, also with an environment of its own
        self.is_marked = bool(mark)
        self.pair = f"DIAGNOSE_MARK={mark}".encode()
        self.parents: dict[int, int] = {}
        self.young: set[int] = set()
        self.workers: dict[int, str] = {}
        self.marked: dict[int, Marked] = {}
        self.below: dict[int, list[int]] = {}

    def refresh(self) -> None:
        """Read the new processes, forget the gone ones."""
        now = set(procfs.pids())
        uptime = _uptime_ticks()
        for pid in [pid for pid in self.parents if pid not in now]:
            for kept in (self.parents, self.workers, self.marked):
                kept.pop(pid, None)
            self.young.discard(pid)
        found = [stat for pid in (now - self.parents.keys()) | self.young if (stat := procfs.stat(pid))]
        self.parents |= {stat.pid: stat.ppid for stat in found}
        for stat in found:
            self._read_environ(stat)
            (self.young.add if uptime - stat.start_ticks < _SETTLE_TICKS else self.young.discard)(stat.pid)
        self.below = {}
        for child, parent in self.parents.items():
            self.below.setdefault(parent, []).append(child)

    def _read_environ(self, stat: procfs.Stat) -> None:
        self.marked.pop(stat.pid, None)
        if not self.is_marked:
            return
        raw = procfs.read(f"/proc/{stat.pid}/environ") or b""
        if b"RANK=" in raw and (
            self.pair in raw.split(b"\0") or self.root in (stat.pid, *self.ancestors(stat.pid))
        ):
            environ = procfs.parse_environ(raw)
            if environ.get("RANK", "").isdigit() and not is_launcher(procfs.cmdline(stat.pid)):
                self.marked[stat.pid] = Marked(stat.pid, stat.start_ticks, environ)

    def ancestors(self, pid: int) -> list[int]:
        """Parents up to init, nearest first."""
        found: list[int] = []
        while (pid := self.parents.get(pid, 0)) > 0 and pid not in found:
            found.append(pid)
        return found

    def unclaimed(self) -> list[Marked]:
        """Outermost marked process per RANK, once it is settled (a hook would have claimed it by then)."""
        return [
            one
            for one in self.marked.values()
            if one.pid not in self.young
            and not any(
                up in self.marked and key(self.marked[up].environ) == key(one.environ)
                for up in self.ancestors(one.pid)
            )
        ]

    def work(self, pid: int, waited_cpu_s: float) -> Work:
        """Compiler children anywhere below `pid`."""
        waiting, names, cpu_s = list(self.below.get(pid, [])), list[str](), waited_cpu_s
        while waiting:
            child = waiting.pop()
            waiting += self.below.get(child, [])
            stat = procfs.stat(child)
            if stat and stat.state not in "ZX" and (name := self._compiler(stat)):
                names.append(name)
                cpu_s += stat.cpu_s + stat.waited_cpu_s
        return Work(sorted(names), cpu_s)

    def _compiler(self, stat: procfs.Stat) -> str:
        if stat.comm in COMPILERS:
            return stat.comm
        if stat.pid not in self.workers or stat.pid in self.young:
            line = " ".join(procfs.cmdline(stat.pid)[:6])
            self.workers[stat.pid] = "inductor_worker" if "compile_worker" in line else ""
        return self.workers[stat.pid]


def key(environ: dict[str, str]) -> tuple[str, str, str]:
    """What makes two processes the same rank."""
    names = ("RANK", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
    return environ.get(names[0], ""), environ.get(names[1], ""), environ.get(names[2], "")


def is_launcher(argv: list[str]) -> bool:
    """Is it torchrun in one of its forms? Launchers carry an outer RANK sometimes, and are never a rank.

    >>> is_launcher(["python", "/v/bin/torchrun", "x.py"])
    True
    >>> is_launcher(["python", "train.py", "torchrun"])
    False
    """
    modules = {"torch.distributed.run", "torch.distributed.launch"}
    names = [os.path.basename(word) for word in argv[:2]]
    return "torchrun" in names or any(a == "-m" and b in modules for a, b in itertools.pairwise(argv))


def _uptime_ticks() -> int:
    return int(procfs.uptime_s() * os.sysconf("SC_CLK_TCK"))

"""Every process of this host that may have to do with a training job, each read once."""

import json
import os
import select
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from probes import deadline, procfs
from probes.rank_hook.diagnose_rank.claim import is_launcher, program

_PATIENCE_S = 1.0
_GROUP_THREADS = ("pt_gloo", "gloo_tcp", "pt_nccl", "pt_ucc", "pt_mpi")


# What schedulers call it, where nobody set torch's own names: Open MPI, MPICH and Intel MPI, Slurm.
_ALIKE = {
    "RANK": ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"),
    "WORLD_SIZE": ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"),
    "LOCAL_RANK": ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"),
    "LOCAL_WORLD_SIZE": ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"),
    "MASTER_PORT": ("OMPI_MCA_ess_base_jobid", "PMI_ID", "SLURM_JOB_ID"),
}


class Process(NamedTuple):
    """One process. `is_seen` is False where it belongs to somebody else and shows only its name.

    `has_group`: it runs the threads of a torch.distributed process group. Threads do not survive a fork, so
    a data loader's worker never has any.
    """

    pid: int
    ppid: int
    start_ticks: int
    comm: str
    argv: list[str]
    environ: dict[str, str]
    uid: int
    is_seen: bool
    is_python: bool
    has_torch: bool
    has_group: bool

    @property
    def is_launcher(self) -> bool:
        """torchrun and its like carry an outer RANK sometimes, and are never a rank."""
        return is_launcher(self.argv) or is_launcher(self.argv[1:])  # also `env torchrun`, `srun torchrun`

    @property
    def rank(self) -> int | None:
        """The rank its environment names."""
        text = self.environ.get("RANK", "")
        return int(text) if text.isdigit() else None

    def number(self, name: str) -> int | None:
        """A whole number in its environment."""
        text = self.environ.get(name, "")
        return int(text) if text.isdigit() else None


def read(pid: int) -> Process | None:
    """One process; None where it has gone or is a zombie."""
    stat = procfs.stat(pid)
    if stat is None or stat.state in "ZX":
        return None
    argv, raw = procfs.cmdline(pid), procfs.read(f"/proc/{pid}/environ")
    exe = os.path.basename(_link(f"/proc/{pid}/exe") or (argv[0] if argv else ""))
    is_python = "python" in exe or "pypy" in exe
    environ = named(procfs.parse_environ(raw or b""))
    threads = {thread.comm for thread in procfs.threads(pid)} if stat.num_threads > 1 else set()
    has_group = any(name.startswith(_GROUP_THREADS) for name in threads)
    return Process(
        pid,
        stat.ppid,
        stat.start_ticks,
        stat.comm,
        argv,
        environ,
        _owner(pid),
        raw is not None,
        is_python,
        has_group or ((is_python or "RANK" in environ) and has_torch(pid)),
        has_group,
    )


def named(environ: dict[str, str]) -> dict[str, str]:
    """The environment with torch's own names: those of a scheduler count where there is no RANK.

    >>> named({"SLURM_PROCID": "3", "SLURM_NTASKS": "8"})["RANK"]
    '3'
    >>> named({"RANK": "1", "PMI_RANK": "0"})["RANK"]
    '1'
    """
    if "RANK" in environ or not any(name in environ for name in _ALIKE["RANK"]):
        return environ
    alike = {own: next((environ[n] for n in names if n in environ), "") for own, names in _ALIKE.items()}
    return {own: value for own, value in alike.items() if value} | environ


def table() -> dict[int, Process]:
    """All processes that can be seen, by pid; kernel threads and our own are left out.

    They are read in a child: one whose memory the kernel holds locked (a page that does not come from a dead
    file system) never answers. It is then known by its name alone, and the others are read on.
    """
    todo, found = sorted(set(procfs.pids()) - {os.getpid()}), dict[int, Process]()
    while todo:
        child = deadline.fork(lambda fd, pids=todo: _tell(fd, pids))  # type: ignore[misc]
        told = list(_hear(child.fd))
        deadline.end(child)
        found |= {one.pid: one for _, one in told if one is not None and one.argv}
        done = told[-1][0] if told else -1
        todo = [pid for pid in todo if pid > done]
        if todo and (stuck := procfs.stat(todo.pop(0))):
            found[stuck.pid] = _unread(stuck)
    return found


def _tell(fd: int, pids: list[int]) -> None:
    """Write a line for each process, as soon as it is read."""
    for pid in pids:
        line = memoryview(json.dumps([pid, read(pid)]).encode() + b"\n")
        while line:
            line = line[os.write(fd, line) :]


def _hear(fd: int) -> Iterator[tuple[int, Process | None]]:
    """The lines that come without a long pause between them."""
    rest = b""
    while select.select([fd], [], [], _PATIENCE_S)[0] and (data := os.read(fd, 1 << 16)):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            pid, values = json.loads(line)
            yield pid, Process(*values) if values else None


def _unread(stat: procfs.Stat) -> Process:
    """A process of which the kernel tells only what it keeps itself."""
    threads = {thread.comm for thread in procfs.threads(stat.pid)}
    group = any(name.startswith(_GROUP_THREADS) for name in threads)
    return Process(
        stat.pid, stat.ppid, stat.start_ticks, stat.comm, [stat.comm], {}, _owner(stat.pid), False,
        "python" in stat.comm, group, group,
    )  # fmt: skip


def ancestors(pid: int, known: Mapping[int, Process]) -> list[int]:
    """Parents up to init, nearest first."""
    found: list[int] = []
    while (one := known.get(pid)) and one.ppid > 0 and one.ppid not in found:
        found.append(pid := one.ppid)
    return found


def has_torch(pid: int) -> bool:
    """Has it loaded torch's own library?"""
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return any(b"libtorch" in part for part in file)
    except OSError:
        return False


def title(argv: list[str]) -> str:
    """What a command line runs: the script or module, without interpreter and path."""
    return program(argv) or os.path.basename(argv[0] if argv else "")


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1

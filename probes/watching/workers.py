"""The Python processes below a rank that it may wait for: workers of its loaders and pools."""

from collections.abc import Iterable

from probes import procfs
from probes.stacks import Threads

MOST = 8  # of one rank
_WAITS_IN = ("/multiprocessing/", "/concurrent/futures/", "/utils/data/dataloader.py")
_BEGINS_IN = {"spawn_main", "_main", "_bootstrap", "run"}  # where a process that was itself spawned begins
_HELPERS = ("resource_tracker", "compile_worker", "forkserver import main")


def are_awaited(threads: Threads) -> bool:
    """Whether a rank's main thread is in code that waits for processes of its own."""
    frames = [f for t in threads if t.get("thread_name") == "MainThread" for f in t.get("frames") or ()]
    return any(_waits(str(one.get("name")), str(one.get("filename"))) for one in frames)


def _waits(name: str, path: str) -> bool:
    """Whether a frame waits for processes; from Python 3.11 on names are qualified.

    >>> _waits("Queue.get", "/usr/lib/python3.11/multiprocessing/queues.py")
    True
    >>> _waits("BaseProcess._bootstrap", "/usr/lib/python3.11/multiprocessing/process.py")
    False
    """
    return any(part in path for part in _WAITS_IN) and name.rpartition(".")[2] not in _BEGINS_IN


def below(ranks: Iterable[int]) -> dict[int, list[int]]:
    """{pid of a rank: pids of its workers}, the oldest first: one pass over all processes."""
    parents = {
        pid: stat.ppid for pid in procfs.pids() if (stat := procfs.stat(pid)) and stat.state not in "ZX"
    }
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    return {rank: _workers(rank, children)[:MOST] for rank in ranks}


def _workers(rank: int, children: dict[int, list[int]]) -> list[int]:
    found, todo = list[int](), list(children.get(rank, ()))
    while todo:
        pid = todo.pop()
        todo += children.get(pid, ())
        if _is_worker(procfs.program(pid), procfs.cmdline(pid)):
            found.append(pid)
    return sorted(found)


def _is_worker(program: str, argv: list[str]) -> bool:
    """Whether it is Python (by its command line where its file is not told), and no helper of a library's.

    >>> _is_worker("python3.11", ["python", "train.py"]), _is_worker("", ["/v/bin/python3", "train.py"])
    (True, True)
    >>> _is_worker("g++", ["g++"]), _is_worker("python3.11", ["python", "-m", "compile_worker"])
    (False, False)
    """
    line = " ".join(argv[:6])
    name = program or (argv[0] if argv else "")
    return "python" in name and not any(helper in line for helper in _HELPERS)

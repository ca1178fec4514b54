"""Flight recorder dumps that the job itself has written, or writes when it is asked through its pipe."""

import os
import tempfile
import time
from typing import NamedTuple

from probes import procfs
from probes.watching.rank import Rank

_LIMIT = 64 << 20
_PIPE_S = 3.0


class Dump(NamedTuple):
    """What a rank's recorder wrote into its file, and when (unix s)."""

    body: bytes
    written: float


def prefixes(environ: dict[str, str]) -> list[str]:
    """Where its dumps may lie: file names up to the rank's number, as torch itself would choose them.

    >>> prefixes({"TORCH_FR_DUMP_TEMP_FILE": "/d/dump_"})
    ['/d/dump_']
    >>> prefixes({"HOME": "/home/me"})[0]
    '/home/me/.cache/torch/comm_lib_trace_rank_'
    """
    for name in ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE"):
        if given := environ.get(name):
            return [given]
    home = environ.get("HOME")
    cache = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else tempfile.gettempdir())
    names = ("comm_lib_trace_rank_", "nccl_trace_rank_")
    return [*(f"{cache}/torch/{name}" for name in names), "/tmp/nccl_trace_rank_"]


def newest(one: Rank, since: float) -> str | None:
    """The rank's newest dump that was written after `since` (unix s)."""
    found: list[tuple[float, str]] = []
    for prefix in prefixes(one.environ):
        path = f"/proc/{one.pid}/root{prefix}{one.rank}"
        try:
            status = os.stat(path)
        except OSError:
            continue
        if status.st_mtime >= since and status.st_size <= _LIMIT:
            found.append((status.st_mtime, path))
    return max(found)[1] if found else None


def ask(ranks: list[Rank]) -> None:
    """Write into the ranks' dump pipes: each then dumps its recorder into its file. Waits for the files."""
    begun, asked = time.time(), list[Rank]()
    for one in ranks:
        stem = one.environ.get("TORCH_NCCL_DEBUG_INFO_PIPE_FILE")
        if stem and _write(f"/proc/{one.pid}/root{stem}{one.rank}.pipe"):
            asked.append(one)
    end = time.monotonic() + _PIPE_S
    while time.monotonic() < end and not all(newest(one, begun - 0.05) for one in asked):
        time.sleep(0.1)


def _write(path: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(fd, b"1") == 1
    except OSError:
        return False
    finally:
        os.close(fd)


def take(one: Rank, since: float) -> Dump | None:
    """The rank's newest dump after `since`; None where there is none that can be read."""
    path = newest(one, since)
    body = procfs.read_whole(path, _LIMIT) if path else None
    return Dump(body, os.stat(path).st_mtime) if path and body else None

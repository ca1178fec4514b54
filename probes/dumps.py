"""Flight recorder dumps that the job itself has written, or writes when it is asked through its pipe.

The pipe is NCCL's (`TORCH_NCCL_DEBUG_INFO_PIPE_FILE`): each rank makes a fifo `{stem}{rank}.pipe`, polls it,
and answers any byte with a dump in its file. Tried with a process that does the same, not with NCCL itself.
"""

import os
import stat
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from probes import procfs
from probes.watching.rank import Rank

LIMIT = 64 << 20
PIPE_S = 3.0
PIPE = "TORCH_NCCL_DEBUG_INFO_PIPE_FILE"
FILES = ("TORCH_FR_DUMP_TEMP_FILE", "TORCH_NCCL_DEBUG_INFO_TEMP_FILE")


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
    for name in FILES:
        if given := environ.get(name):
            return [given]
    home = environ.get("HOME")
    cache = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else tempfile.gettempdir())
    names = ("comm_lib_trace_rank_", "nccl_trace_rank_")
    return [*(f"{cache}/torch/{name}" for name in names), "/tmp/nccl_trace_rank_"]


def newest(one: Rank, since: float) -> str | None:
    """The rank's newest dump that was written after `since` (unix s)."""
    found: list[tuple[float, str]] = []
    is_alive = procfs.is_alive(one.pid, one.start_ticks)
    for prefix in prefixes(one.environ):
        path = f"{prefix}{one.rank}"
        path = procfs.seen_by(one.pid, path) if is_alive else path
        try:
            status = os.stat(path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mtime >= since and status.st_size <= LIMIT:
            found.append((status.st_mtime, path))
    return max(found)[1] if found else None


def take(one: Rank, since: float) -> Dump | None:
    """The rank's newest dump after `since`; None where there is none that can be read."""
    path = newest(one, since)
    try:
        body = procfs.head(path, LIMIT) if path else None
        return Dump(body, os.stat(path).st_mtime) if path and body else None
    except OSError:
        return None


def is_whole(body: bytes) -> bool:
    """Whether a dump is written to its end; pickles end in a full stop.

    >>> is_whole(b"\\x80\\x02}."), is_whole(b"\\x80\\x02}q"), is_whole(b'{"version": "2.10"}\\n')
    (True, False, True)
    """
    return body.endswith(b".") if body[:1] == b"\x80" else body.rstrip().endswith(b"}")


def ask(ranks: Sequence[Rank], limit_s: float = PIPE_S) -> dict[int, Dump | str]:
    """Write into the dump pipes of those that have one; their dumps, or why there is none, in time."""
    begun, end = time.time() - 0.05, time.monotonic() + limit_s  # file systems tell coarser times
    pipes = {one.rank: one.environ[PIPE] for one in ranks if one.environ.get(PIPE)}
    told: dict[int, Dump | str] = {}
    waiting = {one.rank: one for one in ranks if one.rank in pipes}
    for rank, one in list(waiting.items()):
        folder, name = os.path.split(f"{pipes[rank]}{rank}.pipe")
        if reason := _write(f"{procfs.seen_by(one.pid, folder)}/{name}", one.pid):
            told[rank] = reason
            del waiting[rank]
    while waiting and time.monotonic() < end:
        time.sleep(0.05)
        for rank, one in list(waiting.items()):
            dump = take(one, begun)
            if dump is not None and is_whole(dump.body):
                told[rank] = dump
                del waiting[rank]
    return told | dict.fromkeys(waiting, f"no whole dump within {limit_s} s")


def _write(path: str, pid: int) -> str:
    """One byte into a rank's fifo, if it is that; empty where it was written, else why not. Never waits."""
    try:
        if not stat.S_ISFIFO(os.lstat(path).st_mode):  # before it is opened: a device may act on that alone
            return "its dump pipe is no fifo"
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return "it has made no dump pipe"
    except OSError as error:  # ENXIO: nobody reads it
        return f"dump pipe: {os.strerror(error.errno or 0)}"
    try:
        status = os.fstat(fd)
        if not stat.S_ISFIFO(status.st_mode) or status.st_uid != os.stat(f"/proc/{pid}").st_uid:
            return "its dump pipe is another user's"
        return "" if os.write(fd, b"1") == 1 else "dump pipe: nothing was written"
    except OSError as error:  # EAGAIN: it is full, nobody polls it
        return f"dump pipe: {os.strerror(error.errno or 0)}"
    finally:
        os.close(fd)

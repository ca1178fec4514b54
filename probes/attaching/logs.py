"""The logs that ranks have open: their last part is copied, secrets hidden."""

import os
from collections.abc import Callable, Iterable

from probes import deadline, layout, procfs
from probes.files import atomic_write
from probes.redact import redact
from probes.watching.rank import Rank

_TAIL = 256 << 10
_APPENDS = 0o2000
_SLACK_S = 5.0

Say = Callable[..., None]  # say(kind, rank, **data)


def open_log(pid: int) -> tuple[str, str]:
    """The file its output goes to, and why it has none."""
    links = procfs.fd_links(pid) or {}
    if not links:
        return "", "its open files cannot be read"
    for fd in (2, 1):
        if (target := links.get(fd, "")) and os.path.isfile(f"/proc/{pid}/fd/{fd}"):
            return f"/proc/{pid}/fd/{fd}", ""
    target = links.get(2, links.get(1, ""))
    kind = (
        "a terminal" if target.startswith("/dev/") else "a pipe" if target.startswith("pipe:") else "no file"
    )
    return "", f"its output goes to {kind}"


def tail(path: str, started: float) -> bytes | str:
    """The last part of a log that holds nothing but this job's words; else why it is left out.

    A file that was there before, and is appended to, may hold yesterday's traceback.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if _appends(path) and _born(path) < started - _SLACK_S:
            return "it was there before the job and may hold words of an earlier one"
        file.seek(max(0, status.st_size - _TAIL))
        data = file.read(_TAIL)
    return data if status.st_size <= _TAIL else data.partition(b"\n")[2]


def _appends(path: str) -> bool:
    """Was it opened to append? (Then it was not emptied at the start.)"""
    folder, _, fd = path.rpartition("/fd/")
    for line in (procfs.read(f"{folder}/fdinfo/{fd}") or b"").splitlines():
        if line.startswith(b"flags:"):
            return bool(int(line.split()[1], 8) & _APPENDS)
    return False


def _born(path: str) -> float:
    """When a file was made (unix s); 0 where the file system does not tell."""
    text = deadline.run(["stat", "-L", "-c", "%W", path], 2.0).stdout.strip()
    return float(text) if text.isdigit() else 0.0


def copy(ranks: Iterable[Rank], run_dir: str, started: float, say: Say) -> None:
    """Each rank's log, or the launcher's where ranks share one; `started`: when the job was (unix s)."""
    places: dict[tuple[int, int], list[Rank]] = {}
    paths: dict[tuple[int, int], str] = {}
    for one in ranks:
        path, reason = open_log(one.pid)
        if reason:
            say("log.refused", one.rank, reason=reason)
            continue
        status = os.stat(path)
        key = status.st_dev, status.st_ino
        places.setdefault(key, []).append(one)
        paths[key] = path
    shared = max(places.values(), key=len, default=[])
    for key, group in places.items():
        is_launchers = len(group) > 1 and group is shared
        for one in group[:1] if is_launchers else group:
            target = layout.launcher_log(run_dir, one.attempt)
            own = layout.log_path(run_dir, one.attempt, one.rank)
            _copy_one(one, paths[key], target if is_launchers else own, started, say)


def _copy_one(one: Rank, path: str, target: str, started: float, say: Say) -> None:
    try:
        data = tail(path, started)
        if isinstance(data, str):
            say("log.refused", one.rank, reason=data)
            return
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        atomic_write(target, redact(data.decode(errors="replace")).encode())
        written = os.stat(path).st_mtime
    except OSError as error:
        say("log.refused", one.rank, reason=error.strerror or str(error))
        return
    say("log.copied", one.rank, file=os.path.basename(target), written=round(written, 3))

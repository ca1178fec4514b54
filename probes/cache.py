"""What is in a compile cache: entries and bytes by kind, ages, locks, and what should not be there.

A cache is code that ranks will run: whoever may write into it may run anything as them.
"""

import argparse
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from probes import procfs
from probes.cache_kinds import COUNTED, INDUCTOR, LEFT_OUT, TRITON, entry, kind
from probes.emit import open_log

_MAX_FILES, _MAX_TOLD, _MAX_GROUP = 1_000_000, 20, 1 << 20
_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}


class Odd(NamedTuple):
    """Something that no compiler puts there."""

    path: str
    what: str


def files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Every file and folder below, by its path; no link is followed. Raises OSError for the top."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, inside)))
        except OSError:
            if not inside:
                raise
            continue
        for one in entries:
            path = f"{inside}/{one.name}" if inside else one.name
            try:
                found = one.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(found.st_mode):
                waiting.append(path)
            yield path, found


def odd(path: str, found: os.stat_result, uid: int) -> Iterator[Odd]:
    """What is not as a compiler leaves it."""
    mode, name = found.st_mode, path or "."
    if stat.S_ISLNK(mode):
        yield Odd(name, "a link")
    elif stat.S_IFMT(mode) in _SPECIAL:
        yield Odd(name, _SPECIAL[stat.S_IFMT(mode)])
    elif mode & stat.S_IWOTH:
        yield Odd(name, "everyone may write it")
    if found.st_uid not in {0, uid}:
        yield Odd(name, f"belongs to user {found.st_uid}")
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        yield Odd(name, "runs as its owner")
    elif stat.S_ISREG(mode) and mode & 0o111 and not name.endswith(".so"):
        yield Odd(name, "may be executed, and is no library")


def is_moved(path: str) -> bool:
    """Whether one of Triton's lists names files that are not there: it does so by absolute path."""
    try:
        with open(path, "rb") as file:
            paths = json.loads(file.read(_MAX_GROUP))["child_paths"].values()
        return not all(os.path.exists(one) for one in paths)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def holders(raw: bytes) -> dict[int, int]:
    """Of `/proc/locks`: inode -> the process that holds a lock on it.

    >>> holders(b"1: FLOCK  ADVISORY  WRITE 4711 08:01:99 0 EOF\\n2: -> FLOCK ADVISORY WRITE 5 08:01:99 0 EOF\\n")
    {99: 4711}
    """  # noqa: E501
    found = {}
    for line in raw.decode(errors="replace").splitlines():
        fields = line.split()
        inode = fields[5].rpartition(":")[2] if len(fields) > 5 else ""
        if inode.isdigit() and fields[4].lstrip("-").isdigit():
            found[int(inode)] = int(fields[4])
    return found


class _Count:
    """What is in one folder, file by file."""

    def __init__(self, part: str, folder: str, now: float, owners: dict[int, int]) -> None:
        self.part, self.folder, self.now, self.owners = part, folder, now, owners
        self.kinds: dict[str, dict[str, Any]] = {}
        self.entries: dict[str, set[str]] = {}
        self.moved: set[str] = set()  # Triton's keys whose lists lead elsewhere
        self.odd: list[Odd] = []
        self.held: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.is_open, self.num, self.num_odd = False, 0, 0

    def walk(self) -> str:
        """Count all of it; why it is not all."""
        uid = os.geteuid()
        try:
            top = os.stat(self.folder)
            self.is_open = bool(top.st_mode & stat.S_IROTH and top.st_mode & stat.S_IXOTH)
            self.judge("", top, uid)
            for path, found in files(self.folder):
                self.num += 1
                self.judge(path, found, uid)
                if stat.S_ISREG(found.st_mode):
                    self.add(path, found)
                if self.num >= _MAX_FILES:
                    return f"more than {_MAX_FILES} files and folders: the rest was not counted"
        except FileNotFoundError:
            pass
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def judge(self, path: str, found: os.stat_result, uid: int) -> None:
        for one in odd(path, found, uid):
            self.num_odd += 1
            if len(self.odd) < _MAX_TOLD:
                self.odd.append(one)

    def add(self, path: str, found: os.stat_result) -> None:
        what, key = kind(self.part, path), entry(self.part, path)
        row = self.kinds.setdefault(what, {"entries": 0, "files": 0, "bytes": 0})
        row["files"] += 1
        row["bytes"] += found.st_size
        self.entries.setdefault(what, set()).add(key)
        if what == "triton" and "/__grp__" in path and is_moved(os.path.join(self.folder, path)):
            self.moved.add(key)
        if what not in LEFT_OUT:
            self.times.append(found.st_mtime)
        elif what == "lock" and found.st_ino in self.owners:
            since = max(0.0, self.now - found.st_mtime)
            self.held.append({"path": path, "pid": self.owners[found.st_ino], "for_s": round(since, 1)})

    def told(self) -> dict[str, Any]:
        for what, row in self.kinds.items():
            row["entries"] = len(self.entries[what] - self.moved)
        if self.moved:
            text = f"and so {len(self.moved)}: made for files at another place, as a plain copy is"
            self.odd.insert(0, Odd(min(self.moved), text))
            self.num_odd += 1
        kept = [row for what, row in self.kinds.items() if what not in LEFT_OUT]
        return {
            "is_open": self.is_open,
            "kinds": dict(sorted(self.kinds.items())),
            "num_entries": sum(row["entries"] for what, row in self.kinds.items() if what in COUNTED),
            "num_files": sum(row["files"] for row in kept),
            "num_bytes": sum(row["bytes"] for row in kept),
            "newest": max(self.times, default=None),
            "oldest": min(self.times, default=None),
            "held": self.held[:_MAX_TOLD],
            "num_odd": self.num_odd,
            "odd": [one._asdict() for one in self.odd[:_MAX_TOLD]],
        }


def measure(part: str, folder: str, now: float, locks: bytes | None) -> dict[str, Any]:
    """One folder of a cache. `locks` is `/proc/locks`; None where it cannot be read.

    Answers `kinds` (kind -> entries, files, bytes), `num_entries`, `num_files`, `num_bytes` of what would
    have to be compiled again, `newest` and `oldest` (unix s), `held` locks (None: not known), `odd` things
    (the first of `num_odd`), whether every user may read it (`is_open`), and an `error`.
    """
    count = _Count(part, folder, now, holders(locks or b""))
    error = count.walk()
    told = {"part": part, "folder": folder, "exists": os.path.isdir(folder), "error": error, **count.told()}
    return told if locks is not None else told | {"held": None}


def main(argv: list[str] | None = None) -> int:
    """Measure the folders of a compile cache; prints an event line for each."""
    parser = argparse.ArgumentParser(prog="python -m probes.cache", description=main.__doc__)
    parser.add_argument("--inductor", metavar="DIR", help="Inductor's folder")
    parser.add_argument("--triton", metavar="DIR", help="Triton's folder, where it lies elsewhere")
    given = parser.parse_args(argv)
    log, locks = open_log("cache"), procfs.read("/proc/locks")
    for part, folder in ((INDUCTOR, given.inductor), (TRITON, given.triton)):
        if folder:
            log.info("cache.read", **measure(part, folder, time.time(), locks))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A digest of the code that no commit holds: two runs with one digest ran the same of it."""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from probes.files import contents

CODE = (
    ".py",
    ".pyx",
    ".sh",
    ".yaml",
    ".yml",
    ".toml",
    ".cu",
    ".cpp",
    ".h",
)  # of files that git does not know
MOST, LARGEST = 500, 32 << 20  # files, bytes of all
FIELDS = {"1": 8, "2": 9, "u": 10, "?": 1}  # before the path, in a line of porcelain v2


def digest(folder: Path, status: Sequence[str]) -> str:
    """Of what git's status (porcelain v2) of that folder tells; empty for nothing, or for too much."""
    top = next((place for place in (folder, *folder.parents) if (place / ".git").exists()), folder)
    return of(sorted(top / name for name in changed(status)), top)


def changed(status: Iterable[str]) -> Iterator[str]:
    """Paths below the top; of unknown files only code.

    >>> list(changed(["# branch.head main", "1 .M N... 100644 100644 100644 aa bb a b.py", "? runs/", "? new.py"]))
    ['a b.py', 'new.py']
    """  # noqa: E501
    for line in status:
        fields = line.split(" ", FIELDS.get(line[:1], 0))
        if len(fields) > 1 and line[1:2] == " " and (line[0] != "?" or line.endswith(CODE)):
            yield fields[-1].partition("\t")[0]


def of(paths: Sequence[Path], top: Path | None = None) -> str:
    """Of these files and of their names below `top`; of one that is gone its name alone."""
    found, room = hashlib.sha256(), LARGEST
    if not paths or len(paths) > MOST:
        return ""
    for path in paths:
        found.update(os.fsencode(path.relative_to(top) if top else "") + b"\0")
        data = content(path, room)
        if data is None:
            return ""
        room -= len(data)
        found.update(hashlib.sha256(data).digest())
    return found.hexdigest()[:12]


def content(path: Path, most: int) -> bytes | None:
    """Of a file, or of a submodule its commit; no link is followed. None: more bytes than that."""
    try:
        if path.is_dir():
            return head(path).encode()
        return b"" if path.is_symlink() else contents(path, most)
    except OSError as error:
        return None if error.errno == errno.EFBIG else b""


def head(top: Path) -> str:
    """The commit that a checkout is at; empty where its files do not say. Raises OSError."""
    own = top / ".git"
    if not own.is_dir():  # of a submodule, or a worktree
        own = top / os.fsdecode(contents(own, 4096)).partition("gitdir:")[2].strip()
    told = os.fsdecode(contents(own / "HEAD", 4096)).strip()
    name = told.removeprefix("ref:").strip()
    if name == told:
        return told
    for place in (own, own.parent.parent):  # a worktree's branches lie with the others
        if (place / name).is_file():
            return os.fsdecode(contents(place / name, 4096)).strip()
    packed = os.fsdecode(contents(own / "packed-refs", LARGEST)).splitlines()
    return next((line.partition(" ")[0] for line in packed if line.endswith(f" {name}")), "")

"""A digest of the code that no commit holds: two runs with one digest ran the same of it."""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from probes.files import contents

# Of files that git does not know.
CODE = (".py", ".pyx", ".sh", ".yaml", ".yml", ".toml", ".cu", ".cpp", ".h")
NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ENXIO}  # gone, or a pipe or the like
MOST, LARGEST = 500, 32 << 20  # files, bytes of all
FIELDS = {"1": 8, "2": 9, "u": 10, "?": 1}  # before the path, in a line of porcelain v2


def digest(folder: Path, status: Sequence[str]) -> str:
    """Of what git's status (porcelain v2) tells of that folder; empty for nothing, too much or unreadable."""
    top = next((place for place in (folder, *folder.parents) if (place / ".git").exists()), folder)
    names = [*changed(status)]
    if any(name.startswith('"') for name in names):  # git has quoted it: which file it is is not told
        return ""
    return of(sorted(top / name for name in names), top)


def changed(status: Iterable[str]) -> Iterator[str]:
    """Paths below the top; of unknown files only code.

    >>> list(changed(["# branch.head main", "1 .M N... 100644 100644 100644 aa bb a b.py", "? runs/", "? new.py"]))
    ['a b.py', 'new.py']
    """  # noqa: E501
    for line in status:
        fields = line.split(" ", FIELDS.get(line[:1], 0))
        if len(fields) > 1 and line[1:2] == " " and (line[0] != "?" or line.removesuffix('"').endswith(CODE)):
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
    """Of a file; of a submodule its commit, of a link where it leads. None: unreadable, or longer."""
    try:
        if path.is_symlink():
            return os.fsencode(path.readlink())
        return head(path).encode() if path.is_dir() else contents(path, most)
    except OSError as error:
        return b"" if error.errno in NO_FILE else None
    except ValueError:  # no path that a system knows
        return None


def head(top: Path) -> str:
    """The commit that a checkout is at; empty where its files do not say. Raises OSError, ValueError."""
    own = top / ".git"
    if not own.is_dir():  # of a submodule, or a worktree
        own = top / os.fsdecode(contents(own, 4096)).partition("gitdir:")[2].strip()
    told = words(own / "HEAD", 4096)
    name = told.removeprefix("ref:").strip()
    if name == told:
        return told
    if own.parent.name == "worktrees":  # its branches lie with the others
        own = own.parent.parent
    if (own / name).is_file():
        return words(own / name, 4096)
    packed = words(own / "packed-refs", LARGEST).splitlines()
    return next((line.partition(" ")[0] for line in packed if line.endswith(f" {name}")), "")


def words(path: Path, most: int) -> str:
    """Text of git's own. Raises OSError."""
    return contents(path, most).decode(errors="replace").strip()

"""The files of a bundle: a folder, a single file, a .zip, .tar or .tar.gz, each opened only when it is read.

Nothing outside the bundle is ever read: no link is followed, no device opened, nothing unpacked to disk but
one compressed tar into an unnamed temporary file. What cannot be read is a Member whose `open` says why.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from diagnose import archive
from diagnose.archive import BundleError, refused, shown
from diagnose.model import Member

__all__ = ["BundleError", "members"]

MAX_FILES = 100_000
INTERNAL = {"verdict.json", "record.json", "dropped.txt"}  # our own words about a run, no evidence


def members(path: str) -> Iterator[Member]:
    """All files of a bundle, sorted. Raises BundleError where there is none.

    `where` is relative to a folder; of an archive it is `archive!member`; a single file has its own name.
    """
    top = Path(path)
    try:
        mode = top.stat().st_mode
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}") from None
    if stat.S_ISDIR(mode):
        try:
            next(top.iterdir(), None)
        except OSError as error:
            raise BundleError(f"{path}: {error.strerror or error}") from None
        found = in_folder(top)
    elif stat.S_ISREG(mode):
        found = archive.expand(top, shown(top.name), mode_is_sure=True)
    else:
        raise BundleError(f"{path}: neither a folder nor a file")
    return limited(found)


def limited(found: Iterator[Member]) -> Iterator[Member]:
    for count, member in enumerate(found):
        if count == MAX_FILES:
            yield refused("", f"more than {MAX_FILES} files: the rest is left out")
            return
        yield member


def in_folder(top: Path) -> Iterator[Member]:
    """Every file below `top`, archives with their members, in order of their `where`."""
    root = top.resolve()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name, reverse=True)
        except OSError as error:
            yield refused(where_of(folder, top) + "/", error.strerror or str(error))
            continue
        files = []
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                files.append(path)
        for path in reversed(files):
            yield from one(path, where_of(path, top), root)


def where_of(path: Path, top: Path) -> str:
    return shown(path.relative_to(top).as_posix())


def one(path: Path, where: str, root: Path) -> Iterator[Member]:
    """The Members that one directory entry amounts to: none, one, or an archive's."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        yield refused(where, error.strerror or str(error))
        return
    if stat.S_ISLNK(mode):
        if not leads_inside(path, root):
            yield refused(where, "a link that leads out of the bundle, or nowhere")
    elif not stat.S_ISREG(mode):
        yield refused(where, "no regular file")
    elif path.name not in INTERNAL:
        yield from archive.expand(path, where)


def leads_inside(path: Path, root: Path) -> bool:
    """Whether a link's target is in the bundle, where it is read under its own name."""
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):
        return False

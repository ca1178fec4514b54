"""The files of a bundle: folders, files, archives or standard input, each opened only when it is read.

Nothing outside the bundle is ever read: no link is followed, no device opened, nothing unpacked to disk but
one compressed tar, or standard input, into a temporary file. What cannot be read is a Member whose `open`
says why.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from diagnose import archive
from diagnose.archive import BundleError, pour, refused, shown
from diagnose.model import Member

__all__ = ["BundleError", "members", "several"]

MAX_FILES = 100_000
STDIN = "-"
INTERNAL = {
    "verdict.json",
    "record.json",
    "preflight.json",
    "dropped.txt",
}  # our own words about a run, no evidence


def members(path: str) -> Iterator[Member]:
    """All files of a bundle, sorted. Raises BundleError where there is none.

    `where` is relative to a folder; of an archive it is `archive!member`; a single file has its own name.
    """
    if path == STDIN:
        return limited(piped(sys.stdin.buffer))
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
        found = archive.expand(top.resolve(), shown(top.name), is_sure=True)
    else:
        raise BundleError(f"{path}: neither a folder nor a file")
    return limited(found)


def several(paths: Sequence[str]) -> Iterator[Member]:
    """The files of all these places; each `where` begins with its place as it was typed."""
    for path in dict.fromkeys(paths):
        name = Path(path).name
        for member in members(path):
            is_inside = Path(path).is_dir()
            rest = f"/{member.where}" if is_inside else member.where.removeprefix(shown(name))
            where = member.where if path == STDIN else shown(path.rstrip("/")) + rest
            yield msgspec.structs.replace(member, where=where)


def piped(source: BinaryIO) -> Iterator[Member]:
    """What comes from a pipe, whatever it is: it is kept in a file that goes with the last Member."""
    kept = tempfile.NamedTemporaryFile(prefix="diagnose-")  # noqa: SIM115
    why = pour(source, kept)
    kept.flush()
    for member in archive.expand(Path(kept.name), STDIN, is_sure=True):
        yield msgspec.structs.replace(member, open=partial(opened, member.open, kept))
    if why:
        yield refused(STDIN, why)


def opened(open_: Callable[[], BinaryIO], kept: object) -> BinaryIO:
    return open_()


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

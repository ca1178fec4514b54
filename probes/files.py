"""Writing files so that no reader ever sees half of one, and reading what others left."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def atomic_write(path: "str | os.PathLike[str]", data: bytes) -> None:
    """Replace `path` by `data` in one step, on disk before it is named; the folder must exist.

    Raises OSError; the old file then stays as it was, and no draft stays behind.
    """
    target = Path(path)
    fd, draft = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def contents(path: "str | os.PathLike[str]", most: int) -> bytes:
    """Of anybody's file. Raises OSError, also for what is no file, and for one of more bytes."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer opens at once
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a file", os.fspath(path))
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most} bytes", os.fspath(path))
    return data


def append_line(path: "str | os.PathLike[str]", line: bytes) -> None:
    """Append one line (newline added) in one write; a torn last line is ended first. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        raw = (b"\n" if torn else b"") + line + b"\n"
        if os.write(fd, raw) != len(raw):
            raise OSError(f"{os.fspath(path)}: short write")
    finally:
        os.close(fd)


def finished(folder: str) -> Iterator[str]:
    """Paths of the files below `folder`, relative to it; drafts are left out, also those of killed ranks."""
    for base, _, names in os.walk(folder):
        for name in names:
            if not name.startswith(".") and not name.endswith(".tmp"):
                yield os.path.relpath(os.path.join(base, name), folder)


def remove_drafts(folder: str) -> None:
    """What a killed collector was about to name."""
    for base, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):
                with suppress(OSError):
                    os.unlink(os.path.join(base, name))

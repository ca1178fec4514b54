"""An archive of a compile cache, read as if by an enemy: all of it is checked before any of it is written.

`manifest.json` comes first and names every file with its size and sum; nothing else may be in it, in no other
form than a plain file. Nothing is ever unpacked by the tar itself.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, cast

import zstandard

from diagnose.archive import DAMAGE, Cautious, open_regular
from diagnose.caching.manifest import MAX_MANIFEST, NAME, File, Manifest, Refused, decode
from diagnose.model import Record

ENDING = ".tar.zst"
CHUNK = 1 << 20
WINDOW = 128 << 20  # memory that a hostile frame may ask for


class Limits(Record, frozen=True):
    """`playbooks/cache.toml`."""

    min_entries: int
    min_bytes: int
    share: float
    max_bytes: int
    max_files: int
    lock_s: float


class Bounded:
    """A stream of at most `left` bytes: what goes on beyond its manifest is a bomb."""

    def __init__(self, source: Any, left: int) -> None:
        self.source, self.left = source, left

    def read(self, size: int) -> bytes:
        data: bytes = self.source.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise Refused("it holds more than its manifest says")
        return data


class Summed:
    """A stream that sums up what is read of it."""

    def __init__(self, source: Any) -> None:
        self.source, self.sum, self.num_bytes = source, hashlib.sha256(), 0

    def read(self, size: int = CHUNK) -> bytes:
        data: bytes = self.source.read(size)
        self.sum.update(data)
        self.num_bytes += len(data)
        return data

    def is_of(self, file: File) -> bool:
        """Whether all that was read is that file's content."""
        return self.num_bytes == file.size and self.sum.hexdigest() == file.sha256


class Reading(NamedTuple):
    """What an archive says of itself, and its files with their content, each to be read before the next."""

    manifest: Manifest
    files: Iterator[tuple[File, Summed]]


def digest(file: BinaryIO) -> str:
    return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()


def opened(path: Path) -> BinaryIO:
    """The file: it is checked and unpacked through one descriptor. Raises Refused."""
    try:
        return open_regular(path.resolve(strict=True))
    except (OSError, RuntimeError) as error:
        raise Refused(getattr(error, "strerror", None) or str(error)) from None


@contextmanager
def reading(file: BinaryIO, limits: Limits) -> Iterator[Reading]:
    """Read it from its beginning. Raises Refused, in here or while its files are read."""
    file.seek(0)
    try:
        unpacked = zstandard.ZstdDecompressor(max_window_size=WINDOW)
        with unpacked.stream_reader(file, read_across_frames=True, closefd=False) as source:
            bounded = Bounded(source, MAX_MANIFEST + CHUNK)
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r|", tarinfo=Cautious) as tar:
                manifest = first(tar)
                bounded.left = bound(manifest, limits)
                yield Reading(manifest, members(tar, manifest))
    except (OSError, *DAMAGE) as error:
        raise Refused(f"damaged: {str(error)[:200] or type(error).__name__}") from None


def check(file: BinaryIO, limits: Limits) -> Manifest:
    """Read all of it: every file is there, whole, and as the manifest says. Raises Refused."""
    with reading(file, limits) as found:
        for _, stream in found.files:
            while stream.read():
                pass
        return found.manifest


def first(tar: tarfile.TarFile) -> Manifest:
    info = tar.next()
    if info is None or info.name != NAME or not info.isreg() or info.issparse():
        raise Refused("no archive of a compile cache: it does not begin with its manifest")
    if info.size > MAX_MANIFEST:
        raise Refused(f"a manifest of {info.size} bytes")
    return decode(cast(IO[bytes], tar.extractfile(info)).read())


def bound(manifest: Manifest, limits: Limits) -> int:
    """How many bytes may follow the manifest: contents, headers, padding, and what is read ahead."""
    num_files, size = len(manifest.files), sum(one.size for one in manifest.files)
    if num_files > limits.max_files:
        raise Refused(f"it holds {num_files} files; at most {limits.max_files} are taken")
    if size > limits.max_bytes:
        raise Refused(f"it holds {size} bytes; at most {limits.max_bytes} are taken")
    names = sum(4 * len(one.name) for one in manifest.files)
    return size + names + (num_files + 8) * 4096 + CHUNK


def members(tar: tarfile.TarFile, manifest: Manifest) -> Iterator[tuple[File, Summed]]:
    missing = {one.name: one for one in manifest.files}
    while info := tar.next():
        cast(Any, tar).members.clear()  # else it keeps them all
        require_plain(info)
        told = missing.pop(info.name, None)
        if told is None:
            raise Refused(f"its manifest knows nothing of {info.name[:120]!r}")
        if info.size != told.size:
            raise Refused(f"another size than its manifest says: {info.name[:120]!r}")
        stream = Summed(tar.extractfile(info))
        yield told, stream
        if not stream.is_of(told):
            raise Refused(f"another content than its manifest says: {info.name[:120]!r}")
    if missing:
        raise Refused(f"{len(missing)} of its {len(manifest.files)} files are not in it: it was cut off")


def require_plain(info: tarfile.TarInfo) -> None:
    """Raises Refused for all but a plain file that stays where it is put."""
    what = (
        "a symbolic link" if info.issym()
        else "a hard link" if info.islnk()
        else "a device or pipe" if info.isdev()
        else "" if info.isreg() and not info.issparse()
        else "a folder or special file"
    )  # fmt: skip
    if what:
        raise Refused(f"{what} in it: {info.name[:120]!r}")
    try:
        tarfile.data_filter(info, f"{os.devnull}/cache")  # Python's own opinion, beside ours
    except tarfile.FilterError as error:
        raise Refused(str(error)[:200]) from None

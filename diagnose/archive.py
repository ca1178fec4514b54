"""Members of archives, compressed files. Damage anywhere becomes an OSError of the one member it hits."""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import zstandard

from diagnose.model import Member

MAX_UNPACKED = 16 << 30  # bytes of one compressed tar
MAX_MEMBERS = 200_000
MAX_HEADER = 1 << 20
HEADERS = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
           tarfile.SOLARIS_XHDTYPE}  # fmt: skip

ENDINGS = re.compile(r"(?i)\.(?:zip|tar|tgz|tar\.(?:gz|bz2|xz|zst))$")
SQUEEZED = re.compile(r"(?i)\.(?:gz|bz2|xz|zst)$")
DAMAGE = (
    zstandard.ZstdError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    RuntimeError,  # an encrypted zip, and NotImplementedError for methods nobody knows
)


def open_zstd(stream: BinaryIO) -> zstandard.ZstdDecompressionReader:
    return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)


OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x28\xb5\x2f\xfd": open_zstd,
}


class BundleError(Exception):
    """There is no bundle at the place that was named; the text says why, for people."""


def shown(name: str) -> str:
    """A file's name as text that can be printed and written as UTF-8."""
    text = name.encode("utf-8", "replace").decode()
    return "".join(c if c.isprintable() else "?" for c in text)


def refused(where: str, reason: str) -> Member:
    """A Member that cannot be opened, and says why."""

    def fail() -> BinaryIO:
        raise OSError(0, reason)

    return Member(where=where, size=0, open=fail)


def open_regular(path: Path) -> BinaryIO:
    """Open for reading; refuses what has become a link, a pipe or a device since it was listed."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(0, "no regular file")
    return os.fdopen(number, "rb")


class Part(io.RawIOBase):
    """A stream that turns every kind of damage into OSError."""

    def __init__(self, read: Callable[[int], bytes], close: Callable[[], None]):
        self.take, self.end = read, close

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        try:
            data = self.take(len(view))
        except DAMAGE as error:
            raise OSError(0, f"damaged: {str(error)[:200] or type(error).__name__}") from None
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.end()
        super().close()


def expand(path: Path, where: str, is_sure: bool = False) -> Iterator[Member]:
    """The file itself, its members where it is an archive, or what it was before it was compressed.

    In a folder an archive is known by its ending, for data sets and checkpoints are archives too; a single
    file (`is_sure`) also by what is in it.
    """
    plain = Member(where=where, size=path.stat().st_size, open=partial(open_regular, path))
    try:
        head = plain.read(512)
    except OSError:
        yield plain  # which says so once more
        return
    may_hold = is_sure or bool(ENDINGS.search(path.name))
    opener = opener_of(head)
    try:
        if may_hold and head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            yield from of_zip(path, where)
        elif may_hold and is_tar(head):
            yield from of_tar(path, where)
        elif opener is None:
            yield plain
        elif ENDINGS.search(path.name) or is_tar(begin(path, opener)):
            yield from of_tar(path, where)
        else:
            stem = SQUEEZED.sub("", shown(path.name))
            place = where if stem == path.name else f"{where}!{stem}"
            yield Member(where=place, size=-1, open=partial(decompressed, path, opener))
    except (OSError, *DAMAGE) as error:
        yield refused(where, f"damaged archive: {str(error)[:200] or type(error).__name__}")


def opener_of(head: bytes) -> Callable[[BinaryIO], Any] | None:
    return next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)


def is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def begin(path: Path, opener: Callable[[BinaryIO], Any]) -> bytes:
    """How a compressed file begins; empty where that is damaged."""
    try:
        with decompressed(path, opener) as stream:
            return stream.read(512)
    except OSError:
        return b""


def decompressed(path: Path, opener: Callable[[BinaryIO], Any]) -> BinaryIO:
    """A compressed file as it was."""
    stream = open_regular(path)
    source = opener(stream)
    read = source.read1 if hasattr(source, "read1") else source.read
    return cast(BinaryIO, io.BufferedReader(Part(read, stream.close)))


def of_zip(path: Path, where: str) -> Iterator[Member]:
    archive = zipfile.ZipFile(path)  # closed when its last Member is gone
    for info in sorted(archive.infolist(), key=lambda i: i.filename):
        place, mode = f"{where}!{shown(info.filename)}", info.external_attr >> 16
        if info.is_dir():
            continue
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            yield refused(place, "a link or special file in an archive")
        else:
            yield Member(where=place, size=info.file_size, open=partial(in_zip, archive, info))


def in_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    try:
        stream = archive.open(info)
    except DAMAGE as error:
        raise OSError(0, f"damaged: {str(error)[:200]}") from None
    return cast(BinaryIO, io.BufferedReader(Part(cast(zipfile.ZipExtFile, stream).read1, stream.close)))


def of_tar(path: Path, where: str) -> Iterator[Member]:
    """Members by their place in the (unpacked) tar, so that each can be read at any time."""
    tar, why = unpacked(path)
    infos, damage = index(tar)
    for info in sorted(infos, key=lambda i: i.name):
        place = f"{where}!{shown(info.name)}"
        if info.isreg() and not info.issparse():
            yield Member(where=place, size=info.size, open=partial(tar.part, info.offset_data, info.size))
        elif not info.isdir() and not info.islnk():  # a hard link's content has another name there
            yield refused(place, "a link or special file in an archive")
    if why or damage:
        yield refused(where, why or damage)


class OpenFile:
    """A descriptor that lives as long as any Member needs it."""

    def __init__(self, number: int):
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)

    def part(self, start: int, size: int) -> BinaryIO:
        """A stream over `size` bytes from `start`; it ends early where the file does."""
        at, end = start, start + size

        def read(limit: int) -> bytes:
            nonlocal at
            data = os.pread(self.number, min(limit, end - at), at)
            at += len(data)
            return data

        return cast(BinaryIO, io.BufferedReader(Part(read, lambda: None)))


def unpacked(path: Path) -> tuple[OpenFile, str]:
    """A tar without its compression, and what was wrong with that. Raises OSError."""
    with path.open("rb") as stream:
        opener = opener_of(stream.read(6))
        stream.seek(0)
        if opener is None:
            return OpenFile(os.dup(stream.fileno())), ""
        with tempfile.TemporaryFile() as copy, opener(stream) as source:
            why = pour(source, copy)
            copy.flush()
            return OpenFile(os.dup(copy.fileno())), why


def pour(source: Any, copy: IO[bytes]) -> str:
    """Copy all that can be had; why it is not everything, if it is not."""
    left = MAX_UNPACKED
    while left > 0:
        try:
            data = source.read1(1 << 18)  # what was read before the damage is kept
        except (OSError, *DAMAGE) as error:
            return f"damaged: {str(error)[:200] or type(error).__name__}"
        if not data:
            return ""
        copy.write(data)
        left -= len(data)
    return f"more than {MAX_UNPACKED} bytes: the rest is left out"


class Cautious(tarfile.TarInfo):
    """Long names and extended headers are read into memory: their size is bounded first."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in HEADERS and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


def index(tar: OpenFile) -> tuple[list[tarfile.TarInfo], str]:
    """The members up to the first damage."""
    found: list[tarfile.TarInfo] = []
    try:
        os.lseek(tar.number, 0, os.SEEK_SET)
        with (
            os.fdopen(os.dup(tar.number), "rb") as file,
            tarfile.open(fileobj=file, mode="r:", tarinfo=Cautious) as archive,
        ):
            for info in archive:
                found.append(info)
                if len(found) >= MAX_MEMBERS:
                    break
    except (OSError, *DAMAGE) as error:
        return found, f"damaged: {str(error)[:200] or type(error).__name__}"
    return found, ""

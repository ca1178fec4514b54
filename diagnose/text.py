"""Bytes to lines, whatever their encoding and colours. Pure.

Nothing here raises on bad input. Lines are cut at `LINE_LIMIT` bytes, so memory stays flat.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

from diagnose.model import Member

LINE_LIMIT = 64 << 10  # bytes kept of a line
CHUNK = 1 << 20
PIECE = 1 << 20  # bytes of a line without an end that are waited for

ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def encoding(head: bytes) -> str:
    """What a text is written in, by its byte order mark; UTF-8 without one."""
    return next((name for mark, name in BOMS if head.startswith(mark)), "utf-8")


def decode(data: bytes) -> str:
    """Bytes as text, whatever they hold; NULs (holes of a crashed disk, unmarked UTF-16) are dropped.

    >>> decode(b"caf\\xc3\\xa9 \\xff\\x00!")
    'café �!'
    """
    return data.decode(encoding(data), "replace").replace("\0", "")


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """A text as UTF-8, many whole lines at a time; no NULs, no colours, `\\n` alone ends a line.

    A line longer than a piece comes in pieces, of which the first do not end in `\\n`; it is cut at a
    carriage return where it has one. Raises OSError alone.
    """
    decoder: codecs.IncrementalDecoder | None = None
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)  # all that comes before any damage
    kept, data = b"", read(CHUNK)
    if (name := encoding(data)) == "utf-8-sig":
        data = data[len(codecs.BOM_UTF8) :]
    elif name != "utf-8":
        decoder = codecs.getincrementaldecoder(name)("replace")
    while data:
        kept += decoder.decode(data).encode("utf-8", "replace") if decoder else data
        end = kept.rfind(b"\n") + 1
        if not end and len(kept) >= PIECE:
            end = kept.rfind(b"\r", len(kept) - LINE_LIMIT, len(kept) - 1) + 1 or len(kept)
        if end:
            yield plain(kept[:end])
            kept = kept[end:]
        data = read(CHUNK)
    if kept:
        yield plain(kept)


def plain(chunk: bytes) -> bytes:
    """Without what only a terminal or a crashed disk puts between the letters of a line."""
    if b"\0" in chunk:
        chunk = chunk.replace(b"\0", b"")
    if b"\x1b" in chunk:
        chunk = ANSI.sub(b"", chunk)
    return chunk.replace(b"\r\n", b"\n") if b"\r\n" in chunk else chunk


def lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1, without its end. Raises OSError alone."""
    number, head = 1, b""
    for chunk in chunks(stream):
        whole = chunk.split(b"\n")
        whole[0] = head + whole[0] if len(head) < LINE_LIMIT else head
        head = whole.pop()
        for line in whole:
            yield number, line[:LINE_LIMIT].decode("utf-8", "replace")
            number += 1
    if head:
        yield number, head[:LINE_LIMIT].decode("utf-8", "replace").removesuffix("\r")


def lines_of(member: Member) -> Iterator[tuple[int, str]]:
    """`lines` of a file, which is closed at the end. Raises OSError alone."""
    with member.open() as stream:
        yield from lines(stream)


GLUED = re.compile(rb"(?<=\])(?=\[(?:rank|default)\d{1,6}\]:)")


def parts(line: bytes) -> list[bytes]:
    """What a line showed one after another: progress bars overwrite themselves with carriage returns.

    The last part is what a terminal shows at the end; empty ones are left out.

    >>> parts(b" 10%\\r 20%\\rTraceback\\r")
    [b' 10%', b' 20%', b'Traceback']
    """
    found = [part for part in line.split(b"\r") if part.strip()] if b"\r" in line else [line]
    if b"][rank" in line or b"][default" in line:  # a bar that another rank's line is glued to
        found = [piece for part in found for piece in GLUED.split(part)]
    return [part[:LINE_LIMIT] for part in found]

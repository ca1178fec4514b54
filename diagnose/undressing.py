"""A file without what the tools that handed it over put around its lines: what sources are given. Pure."""

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO, cast

import msgspec

from diagnose.dressing import Layer, layers, sample, through
from diagnose.model import Member
from diagnose.text import BOMS, chunks
from diagnose.wrappers import unwrap

HEAD = 64 << 10  # bytes by which a file is known
PIECE = 1 << 20


def undressed(member: Member) -> tuple[Member, bytes]:
    """The file without its dress, and its head; as it is where it has none. Raises OSError."""
    head = member.read(HEAD)
    is_marked = any(head.startswith(mark) for mark, _ in BOMS)
    if b"\0" in head and not is_marked:
        return member, head
    plain = b"".join(chunks(io.BytesIO(head)))
    found = layers(plain, len(head) < HEAD)
    if not found and not is_marked and b"\x1b" not in head:
        return member, head
    return off(member, found), through(found, plain)


def unwrapped(member: Member, head: bytes) -> tuple[Member, bytes] | None:
    """The file, and its head, without a runtime's stamps and names; None unless every line has some.

    None too where any of them tells a rank.
    """
    lines = [unwrap(line.decode("utf-8", "replace")) for line in sample(head) if line.strip()]
    if not lines or any(line.rank is not None or not (line.stamp or line.wrapper) for line in lines):
        return None
    return off(member, [bare]), bare(head)


def bare(chunk: bytes) -> bytes:
    """Lines without all that `unwrap` takes off."""
    lines = (unwrap(line.decode("utf-8", "replace")).text for line in chunk.split(b"\n"))
    return "\n".join(lines).encode("utf-8", "replace")


def off(member: Member, found: Sequence[Layer]) -> Member:
    return msgspec.structs.replace(member, open=partial(opened, member.open, found))


def opened(open_: Callable[[], BinaryIO], found: Sequence[Layer]) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(Undressed(open_(), found), PIECE))


class Undressed(io.RawIOBase):
    """A text as UTF-8 without its dress, read once from its begin."""

    def __init__(self, stream: BinaryIO, found: Sequence[Layer]):
        self.stream, self.chunks, self.found, self.left = stream, chunks(stream), found, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.left:
            if (chunk := next(self.chunks, None)) is None:
                return 0
            self.left = through(self.found, chunk)
        num = min(len(buffer), len(self.left))
        buffer[:num], self.left = self.left[:num], self.left[num:]
        return num

    def close(self) -> None:
        if not self.closed:
            self.stream.close()
        super().close()

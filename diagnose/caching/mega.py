"""What is in the bytes of `torch.compiler.save_cache_artifacts` (MegaCache): told, never loaded.

Its form: a checksum of four bytes, a version, then for each kind its name and its artefacts, a key and a
content each, every length before its bytes. Only the program can load it, before its first compile.

>>> def text(word):
...     body = base64.b64encode(word.encode())
...     return len(body).to_bytes(8, "big") + body
>>> one = text("inductor") + (1).to_bytes(8, "big") + text("fkey") + (3).to_bytes(8, "big") + b"abc"
>>> counts(b"sum!" + (1).to_bytes(8, "big") + one)
{'inductor': 1}
"""

import base64
import binascii
from mmap import mmap

MAX_KINDS, MAX_ARTEFACTS = 100, 1_000_000
_LONGEST = 1 << 12


class _Reader:
    def __init__(self, data: bytes | mmap) -> None:
        self.data, self.at = data, 4

    def number(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError("it was cut off")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        size = self.number()
        if size > _LONGEST:
            raise ValueError("no text")
        return base64.b64decode(self.take(size), validate=True).decode()

    def skip(self) -> None:
        size = self.number()
        if size > len(self.data) - self.at:
            raise ValueError("it was cut off")
        self.at += size


def counts(data: bytes | mmap) -> dict[str, int] | None:
    """kind -> how many artefacts; None where these are no such bytes, or not all of them."""
    reader, found = _Reader(data), dict[str, int]()
    try:
        if reader.number() != 1:
            return None
        while reader.at < len(data):
            name, num = reader.text(), reader.number()
            if num > MAX_ARTEFACTS or len(found) >= MAX_KINDS or not name.isidentifier():
                return None
            for _ in range(num):
                reader.text()
                reader.skip()
            found[name] = found.get(name, 0) + num
    except (ValueError, binascii.Error):
        return None
    return found or None

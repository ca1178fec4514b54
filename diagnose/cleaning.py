"""A file of a run as it may leave the house: secrets hidden, long logs cut to the lines that matter.

Lines keep their numbers (what is cut leaves empty lines): every place that a verdict names still holds.
"""

import pickletools
import re
import struct
from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from diagnose import text
from diagnose.archive import open_regular
from probes.redact import HIDDEN, redact, redact_value

WHOLE = 8 << 20  # bytes: a text up to this long is kept whole
DOCUMENT = 64 << 20  # bytes of a JSON document or a pickle, which are read in one piece
HEAD, TAIL, AROUND = 300, 3000, 40  # lines kept of a longer one: its begin, its end, around what matters
BLOCK = re.compile(r"-----(BEGIN|END) [A-Z ]{0,40}KEY[A-Z ]{0,10}-----")
# A line of a key, whatever a launcher put before it.
OF_KEY = re.compile(
    r"(?:\[[^\]\n]{1,40}\]:? ?){0,3}\s{0,8}"
    r"(?:[A-Za-z0-9+/=]{1,120}|[A-Z][A-Za-z-]{2,20}: [^\n]{1,200})?\s{0,4}"
)
MOST_BLOCK = 400  # lines of a key
STRINGS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}


class Hidden(NamedTuple):
    """How much was hidden in one line (0: of a document that has no lines)."""

    line: int
    num: int


class Cleaned(NamedTuple):
    """What was hidden now, how many places were hidden when it was written, and lines left empty."""

    hidden: list[Hidden]
    num_before: int
    num_cut: int


class Refused(Exception):
    """The file stays behind. The message says why."""


def clean(source: Path, target: BinaryIO, wanted: Collection[int]) -> Cleaned:
    """Write `source` to `target`; `wanted`: lines that matter. Raises Refused, OSError."""
    with open_regular(source) as stream:
        head = stream.read(4096)
    size = source.stat().st_size
    if source.suffix in {".pickle", ".pkl"} or head.startswith(b"\x80"):
        return of_pickle(whole(source, size), target)
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused("neither text nor a known kind of dump: nobody can tell what is in it")
    if source.suffix == ".json":
        return of_document(whole(source, size), target)
    with open_regular(source) as stream:
        return of_lines(stream, target, kept(source, size, wanted))


def whole(source: Path, size: int) -> bytes:
    if size > DOCUMENT:
        raise Refused(f"{size >> 20} MiB, more than {DOCUMENT >> 20} in one piece")
    with open_regular(source) as stream:
        return stream.read(DOCUMENT)


def kept(source: Path, size: int, wanted: Collection[int]) -> Collection[int] | None:
    """The lines of a long text that stay; None for all of them."""
    if size <= WHOLE:
        return None
    num = 0
    with open_regular(source) as stream:
        for chunk in text.chunks(stream):
            num += chunk.count(b"\n")
    near = {line + step for line in wanted for step in range(-AROUND, AROUND + 1)}
    return near | set(range(1, HEAD + 1)) | set(range(num - TAIL, num + 2))


def of_lines(stream: BinaryIO, target: BinaryIO, lines: Collection[int] | None) -> Cleaned:
    hidden, num_before, num_cut, in_key = list[Hidden](), 0, 0, 0
    for number, line in text.lines(stream):
        if lines is not None and number not in lines:
            in_key = block(line, in_key)
            num_cut += 1
            target.write(b"\n")
            continue
        is_key = in_key and (OF_KEY.fullmatch(line) or BLOCK.search(line))
        in_key = block(line, in_key if is_key else 0)
        shown = HIDDEN if is_key and line.strip() else of_line(line)
        num_before += line.count(HIDDEN)
        if shown != line:
            hidden.append(Hidden(number, max(1, shown.count(HIDDEN) - line.count(HIDDEN))))
        target.write(shown.encode("utf-8", "replace") + b"\n")
    return Cleaned(hidden, num_before, num_cut)


def block(line: str, in_key: int) -> int:
    """How many more lines may be of a key that has begun and not ended; 0 outside of one.

    >>> block("-----BEGIN RSA PRIVATE KEY-----", 0), block("-----END RSA PRIVATE KEY-----", 7), block("x", 0)
    (400, 0, 0)
    """
    marks = BLOCK.findall(line) if "-----" in line else []
    if marks:
        return MOST_BLOCK if marks[-1] == "BEGIN" else 0
    return max(0, in_key - 1)


def of_line(line: str) -> str:
    """One line: an event by its keys and values, any other text as it stands."""
    if line.startswith("{"):
        try:
            found = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return redact(line)
        if isinstance(found, dict):
            shown = redact_value(found)
            return line if shown == found else msgspec.json.encode(shown).decode()
    return redact(line)


def of_document(data: bytes, target: BinaryIO) -> Cleaned:
    """A JSON document; one that is broken is a text like any other."""
    try:
        found = msgspec.json.decode(data)
        shown = redact_value(found)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return of_lines(BytesIO(data), target, None)
    mark = HIDDEN.encode()
    if shown == found:
        target.write(data)
        return Cleaned([], data.count(mark), 0)
    body = msgspec.json.format(msgspec.json.encode(shown), indent=1) + b"\n"
    target.write(body)
    return Cleaned([Hidden(0, max(1, body.count(mark) - data.count(mark)))], data.count(mark), 0)


def of_pickle(data: bytes, target: BinaryIO) -> Cleaned:
    """A pickled dump, whose texts are looked at one by one; it is never loaded."""
    parts, num, at = list[bytes](), 0, 0
    try:
        for start, shown, end in secrets(data):
            parts += [data[at:start], b"X" + struct.pack("<I", len(shown)) + shown]
            num, at = num + 1, end
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeError) as error:
        raise Refused(f"a pickle that cannot be followed: {str(error)[:100]}") from None
    if num and b"\x95" in data[:12]:
        raise Refused("a secret in a framed pickle")
    target.write(b"".join([*parts, data[at:]]))
    return Cleaned([Hidden(0, num)] if num else [], data.count(HIDDEN.encode()), 0)


def secrets(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Texts of a pickle that hold one: where it begins, what is to stand there, where the next part is."""
    found: tuple[int, bytes] | None = None
    for code, value, at in pickletools.genops(data):
        if found and at is not None:
            yield *found, at
        found = None
        if isinstance(value, str) and (shown := redact(value)) != value:
            if code.name not in STRINGS or at is None:
                raise ValueError(f"a secret in {code.name}")
            found = at, shown.encode()

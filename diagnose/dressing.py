"""What people and tools put before each line of a text that they hand on, and how it comes off again. Pure.

Quotation marks, the indentation of a code block, line numbers, the name of one container, a record of JSON
around each line: found once, by a file's head, and taken off its bytes before any source sees them. No line
is added or left out: their numbers stay right. What carries a rank or a time is no dress, and stays for
`wrappers.unwrap`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby, pairwise

from diagnose.json_lines import recorded

MAX_LINES = 1000
MAX_LAYERS = 4
Layer = Callable[[bytes], bytes]  # of a chunk of lines

QUOTE = re.compile(rb"[ \t]{0,8}>")
# A number that may be a line's, and what parts it from the line: `cat -n`, `less -N`, `grep -n`, a web page.
NUMBER = re.compile(
    rb"(?P<before>[ \t]{0,10}L?)(?P<number>\d{1,7})(?P<mark>\t| ?[:|.)]|-|\xe2\x86\x92| ?\xe2\x94\x82|)"
    rb"(?P<gap> *)(?P<text>.*)"
)
CLOCK = re.compile(rb"\d\d\b")
CONTAINER = re.compile(rb"(?![\w.-]{0,60}rank)[A-Za-z][\w.-]{0,60} {2,20}\| ")
# What has lines of its own below it that are indented.
HEADS = re.compile(rb"Traceback \(most|Exception|(?:Current t|T)hread |Process \d|[{\[]")


def layers(text: bytes, is_whole: bool = True) -> list[Layer]:
    """What is around the lines of a text, outermost first; without `is_whole` the text goes on.

    >>> text = b"> [rank1]: boom\\n>\\n> [rank0]: bang\\n"
    >>> [layer] = layers(text)
    >>> layer(text)
    b'[rank1]: boom\\n\\n[rank0]: bang\\n'
    """
    lines = text.split(b"\n")
    if not is_whole and len(lines) > 1:
        lines.pop()  # it may be cut
    is_whole &= len(lines) <= MAX_LINES
    lines, found = lines[:MAX_LINES], list[Layer]()
    while len(found) < MAX_LAYERS:
        layer = (
            quoted(lines) or recorded(lines) or numbered(lines) or named(lines) or indented(lines, is_whole)
        )
        if layer is None:
            break
        found.append(layer)
        lines = layer(b"\n".join(lines)).split(b"\n")
    return found


def through(found: Iterable[Layer], chunk: bytes) -> bytes:
    for layer in found:
        chunk = layer(chunk)
    return chunk


def sample(text: bytes) -> list[bytes]:
    return text.split(b"\n", MAX_LINES)[:MAX_LINES]


def without(prefix: bytes) -> Layer:
    """Off the lines that begin with it."""
    return partial(re.compile(rb"(?m)^(?:" + prefix + rb")").sub, b"")


def filled(lines: Iterable[bytes]) -> list[bytes]:
    return [line for line in lines if line.strip()]


def quoted(lines: Sequence[bytes]) -> Layer | None:
    """`> `, before most lines: a mail, an answer in a thread."""
    marked = [line[found.end() :] for line in lines if (found := QUOTE.match(line))]
    if 2 * len(marked) <= len(filled(lines)):
        return None
    is_spaced = all(line[:1] in (b"", b" ", b">") for line in marked)
    return without(QUOTE.pattern + (rb" ?" if is_spaced else b""))


def named(lines: Sequence[bytes]) -> Layer | None:
    """One container's name and a bar, before all lines."""
    told = filled(lines)
    found = CONTAINER.match(told[0]) if told else None
    if found is None:
        return None
    prefix, bare = found[0], found[0].rstrip()
    if not all(line.startswith(prefix) or line == bare for line in told):
        return None
    return without(re.escape(prefix) + b"|" + re.escape(bare) + b"$")


def indented(lines: Sequence[bytes], is_whole: bool = True) -> Layer | None:
    """Blanks before all lines, or before all of a code block that has nothing but prose around it.

    >>> indented([b"Traceback (most recent call last):", b"  File 'x', line 3", b"    f()"])
    """
    blocks = [list(block) for is_text, block in groupby(lines, lambda line: bool(line.strip())) if is_text]
    inner = [block for block in blocks if all(line[:1].isspace() for line in block)]
    outer = [line for block in blocks if not all(line[:1].isspace() for line in block) for line in block]
    if outer and not (is_whole and max(map(len, inner), default=0) > 1):
        return None
    if any(line[:1].isspace() or HEADS.match(line) for line in outer):
        return None
    told = [line for block in inner for line in block]
    blanks = min((line[: len(line) - len(line.lstrip())] for line in told), key=len, default=b"")
    is_common = len(blanks.expandtabs()) > bool(outer) and all(line.startswith(blanks) for line in told)
    return without(re.escape(blanks)) if is_common else None


def numbered(lines: Sequence[bytes]) -> Layer | None:
    """Line numbers. What may as well be ranks, the first column of a table or a clock stays.

    >>> numbered([b"0: a", b"1: b", b"2: c", b"3: d", b"4: e", b"5: f"])
    """
    told = filled(line for line in lines if line != b"--")  # between two hits of grep
    places = [(at, found) for at, line in enumerate(told) if (found := NUMBER.match(line))]
    if 5 * len(places) < 4 * len(told) or not places or places[-1][0] - places[0][0] >= len(places):
        return None
    rows = [found for _, found in places]
    marks = {row["mark"] for row in rows}
    numbers = [int(row["number"]) for row in rows]
    by = {later - earlier for earlier, later in pairwise(numbers)}
    gap = min((len(row["gap"]) for row in rows if row["text"]), default=0)
    before = rb"[ \t]{0,10}L?\d{1,7}"
    if marks == {b":", b"-"} or (marks == {b":"} and not gap):  # hits of grep
        is_clock = any(CLOCK.match(row["text"]) for row in rows)
        return without(before + rb"[:-]") if by and min(by) > 0 and not is_clock else None
    if len(marks) > 1 or by - {1} or not may_be(rows[0]["mark"], gap, numbers[0], rows):
        return None
    return without(before + re.escape(rows[0]["mark"]) + (rb"(?: {%d}| *$)" % gap if gap else b""))


def may_be(mark: bytes, gap: int, first: int, rows: Sequence[re.Match[bytes]]) -> bool:
    """Whether numbers that rise by one are those of lines: `srun -l` counts ranks, `ps` lists pids so."""
    is_padded = first == 1 and len(rows[0]["before"]) > 3 and mark in (b"\t", b"")
    if first < 1 or mark == b"-" or (mark == b"" and not gap):
        return False
    if mark == b":":
        is_parted = any(b'  File "' in row[0] for row in rows)  # a rank's traceback would be all its own
        return len(rows) >= 5 or is_parted or rows[0]["before"].endswith(b"L")
    if mark in (b".", b")", b"") and first > 1:
        is_table = len({len(row["text"].split()) for row in rows}) == 1
        return len(rows) >= 8 and gap > 0 and not is_table
    return is_padded or len(rows) >= 3

"""What `free` lists: how much of a host's memory is in use.

>>> from io import BytesIO
>>> text = b"        total   used   free  shared  buff/cache   available\\nMem:     1007    998      4       1           5           2"
>>> event = next(parse(Member("free-g.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.data
('host.memory_listed', 'free-g.txt:2', {'percent': 99.8})
"""  # noqa: E501

import re
from collections.abc import Iterator

from diagnose.log_signs import OTHERS, is_text
from diagnose.model import Event, Member
from diagnose.naming import steps
from diagnose.text import decode, lines_of

EVENTS = {"host.memory_listed": "memory that programs cannot have any more; data: percent (of the host's)"}
MAX_EVENTS = 1000
HEADER = re.compile(
    r"\s{4,40}total\s+used\s+free\s+shared\s+(?:buff/cache|buffers\s+cache[d]?)(?:\s+available)?\s*"
)
ROW = re.compile(r"Mem:((?:\s+[\d.]{1,18}(?:[KMGTB]i?)?){6})\s*")
SCALES = {"K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30}


def recognises(where: str, head: bytes) -> bool:
    if not is_text(head) or OTHERS & set(steps(where)[:-1]):
        return False
    return any(HEADER.fullmatch(line) for line in decode(head).split("\n") if "shared" in line)


def parse(member: Member) -> Iterator[Event]:
    num, is_old = 0, False
    for number, text in lines_of(member):
        if "shared" in text and HEADER.fullmatch(text):
            is_old = "available" not in text
        elif (found := ROW.fullmatch(text)) and num < MAX_EVENTS:
            total, _, free, _, *rest = map(amount, found[1].split())
            left = free + sum(rest) if is_old else rest[1]
            if total:
                num += 1
                data: dict[str, object] = {"percent": round(100 * (1 - min(left / total, 1)), 1)}
                yield Event("host.memory_listed", "memory_table", f"{member.where}:{number}", data=data)


def amount(text: str) -> float:
    """
    >>> amount("1.5Gi"), amount("12")
    (1572864.0, 12.0)
    """
    digits = text.rstrip("KMGTBi")
    try:
        return float(digits) * SCALES.get(text[len(digits) : len(digits) + 1], 1)
    except ValueError:
        return 0.0

"""What `ps` and `top` list, whatever columns were asked for: which processes are stopped, and which wait in the kernel.

Told are Python's own processes that are stopped (T) or in uninterruptible sleep (D); others come and go.

>>> from io import BytesIO
>>> text = b"    PID STAT WCHAN    COMMAND\\n   5103 Tl   do_signa python3 train.py --rank 2"
>>> event = next(parse(Member("ps.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.rank, event.data
('proc.dumped', 'ps.txt:2', 2, {'pid': 5103, 'state': 'T'})
"""  # noqa: E501

import re
from collections.abc import Iterator

from diagnose.log_signs import OTHERS, is_text
from diagnose.model import Event, Member
from diagnose.naming import MAX_RANK, steps
from diagnose.text import decode, lines_of

EVENTS = {
    "proc.dumped": "a process of Python that is stopped, or sleeps in the kernel; data: pid, state (T, D)",
    "native.stack_read": "the kernel's function that a process in state D waits in; data: via, frames, pid",
    "process.table_read": "the whole of a table; data: num_processes",
}
MAX_EVENTS = 2000
HEADER = re.compile(
    r"\s*(?:\S+\s+){0,20}?PID\s.{0,200}?\b(?:STAT|S|WCHAN)\s(?:.{0,200}\s)?(?:COMMAND|CMD|COMM)\s*"
)
PYTHON = re.compile(r"(?:\S{0,200}/)?(?:python[\d.]*|pt_\w+|ray::\S+|torchrun|deepspeed|accelerate)(?:\s|$)")
RANK = re.compile(r"(?:--|\s|^)(?:global[-_])?rank[= ](?P<rank>\d{1,7})\b|\bRANK=(?P<variable>\d{1,7})\b")
LAUNCHES = re.compile(r"torchrun|torch\.distributed\.(?:run|launch)|accelerate launch|deepspeed ")


def recognises(where: str, head: bytes) -> bool:
    if not is_text(head) or OTHERS & set(steps(where)[:-1]):
        return False
    return any(HEADER.fullmatch(line) for line in decode(head).split("\n") if "PID" in line)


def parse(member: Member) -> Iterator[Event]:
    names, num, count = list[str](), 0, 0
    for number, text in lines_of(member):
        if "PID" in text and HEADER.fullmatch(text):
            names = text.split()
            continue
        cells = text.split(None, len(names) - 1) if names else []
        if len(cells) < len(names) or not cells:
            continue
        count += 1
        row = dict(zip(names, cells, strict=True))
        if num < MAX_EVENTS and (event := told(row, f"{member.where}:{number}")):
            num += 1
            yield event
    yield Event("process.table_read", "process_table", member.where, data={"num_processes": count})


def told(row: dict[str, str], where: str) -> Event | None:
    """What one row says of a process that does not run; None of others."""
    command = next((row[name] for name in ("COMMAND", "CMD", "COMM") if name in row), "")
    state = (row.get("STAT") or row.get("S") or "?")[0]
    if state not in "TD" or not row["PID"].isdecimal() or len(row["PID"]) > 10 or not PYTHON.match(command):
        return None
    pid, wchan = int(row["PID"]), row.get("WCHAN", "-")
    found = None if LAUNCHES.search(command) else RANK.search(command)
    rank = int(found["rank"] or found["variable"]) if found else MAX_RANK
    if state == "D" and rank >= MAX_RANK:
        data: dict[str, object] = {"via": "kernel", "frames": [wchan], "pid": pid}
        return Event("native.stack_read", "process_table", where, data=data) if wchan[0].isalpha() else None
    return Event(
        "proc.dumped",
        "process_table",
        where,
        rank=rank if rank < MAX_RANK else None,
        data={"pid": pid, "state": state},
    )

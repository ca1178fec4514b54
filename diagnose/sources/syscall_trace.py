"""What `strace` prints of a process that runs already: the system call that each of its threads stays in.

>>> from io import BytesIO
>>> text = b"strace: Process 4711 attached\\nfsync(17</checkpoints/step-900.pt>"
>>> event = next(parse(Member("strace.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.data
('native.stack_read', 'strace.txt:2', {'via': 'strace', 'frames': ['fsync'], 'text': '17</checkpoints/step-900.pt>', 'pid': 4711})
"""  # noqa: E501

import re
from collections.abc import Iterator

from diagnose.log_signs import OTHERS, is_text
from diagnose.model import Event, Member
from diagnose.naming import rank_of, steps
from diagnose.text import decode, lines_of

EVENTS = {
    "native.stack_read": "a call that did not return while it was looked at; data: via, frames, text (what "
    "it was given), pid (the thread's), thread (where it is not the first)",
    "proc.dumped": "a thread that a signal has stopped; data: pid, state (T)",
    "trace.read": "the whole of a trace; data: num_calls",
}
MAX_THREADS = 4096
LINE = re.compile(
    r"\s{0,8}(?:\[pid {1,8}(?P<pid>\d{1,10})\] |(?P<first>\d{1,10}) {1,8})?"
    r"(?:(?:\d\d:\d\d:\d\d|\d{1,11})(?:\.\d{1,9})? {1,8})?(?P<said>\S.*)"
)
ATTACHED = re.compile(r"(?:strace: )?Process (?P<pid>\d{1,10}) attached")
CALL = re.compile(r"(?P<name>[a-z_]\w{1,40})\((?P<text>.{0,400})")
RESUMES = re.compile(r"<\.\.\. (?P<name>\w{1,40}) resumed>|resuming interrupted (?P<again>\w{1,40}) \.\.\.>")
RETURNED = re.compile(r"\) {1,80}= (?:-?\d|0x|\?)")
OPEN = re.compile(r",? {0,8}(?:<(?:unfinished|detached) \.\.\.>|strace: Process \d{1,10} detached)\s*$")
STOPPED = re.compile(r"--- stopped by SIG(?:STOP|TSTP|TTIN|TTOU) ---")
ENDED = re.compile(r"\+\+\+ (?:killed by|exited with) ")
SIGNS = re.compile(
    r"(?m)^strace: Process \d{1,10} attached\b|^--- stopped by SIG\w{1,9} ---|\(<\.\.\. resuming interrupted"
    r" \w|^(?:\[pid {1,8}\d{1,10}\] |\d{1,10} {1,8})?(?:[\d:.]{1,20} {1,8})?[a-z_]\w{1,40}\(.{0,400}"
    r"<(?:unfinished|detached) \.\.\.>"
)


def recognises(where: str, head: bytes) -> bool:
    if not is_text(head) or OTHERS & set(steps(where)[:-1]):
        return False
    return bool(SIGNS.search(decode(head)))


def parse(member: Member) -> Iterator[Event]:
    rank, main, num = rank_of(member.where), 0, 0
    inside: dict[int, Event] = {}
    for number, text in lines_of(member):
        if found := ATTACHED.match(text):
            main = main or int(found["pid"])
            continue
        line = LINE.match(text)
        if line is None:
            continue
        pid = int(line["pid"] or line["first"] or main)
        if ENDED.match(line["said"]) or RETURNED.search(line["said"]):
            inside.pop(pid, None)
            num += 1
        elif told := said(line["said"]):
            kind, data = told
            data |= ({"pid": pid} if pid else {}) | ({"thread": pid} if main not in (0, pid) else {})
            if pid in inside or len(inside) < MAX_THREADS:
                inside[pid] = Event(kind, "syscall_trace", f"{member.where}:{number}", rank=rank, data=data)
    yield from inside.values()
    yield Event("trace.read", "syscall_trace", member.where, data={"num_calls": num + len(inside)})


def said(text: str) -> tuple[str, dict[str, object]] | None:
    """What a line that tells of no return says of its thread; None of other lines.

    >>> said("restart_syscall(<... resuming interrupted futex ...>")
    ('native.stack_read', {'via': 'strace', 'frames': ['futex'], 'text': ''})
    """
    if STOPPED.match(text):
        return "proc.dumped", {"state": "T"}
    if again := RESUMES.search(text):
        name, given = again["name"] or again["again"], ""
    elif call := CALL.match(text):
        name, given = call["name"], OPEN.sub("", call["text"])
    else:
        return None
    return "native.stack_read", {"via": "strace", "frames": [name], "text": given}

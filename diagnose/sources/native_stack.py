"""Stacks below Python: gdb's `bt`, of one thread or of all, and the kernel's own, `/proc/PID/stack`.

>>> from io import BytesIO
>>> text = b"#0  futex_wait (private=0) at futex.h:146\\n#1  0x7f12 in ___pthread_mutex_lock () from /lib/libc.so.6"
>>> event = next(parse(Member("gdb.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.where, event.data
('native.stack_read', 'gdb.txt:1', {'via': 'gdb', 'frames': ['futex_wait', '___pthread_mutex_lock']})
"""  # noqa: E501

import re
from collections.abc import Iterator

from diagnose.model import Event, Member
from diagnose.naming import rank_of, steps
from diagnose.text import decode, lines_of

EVENTS = {
    "stack.read": "Python frames of gdb's `py-bt`; data: via, main (innermost first), paths",
    "native.stack_read": "C frames; data: via (gdb, kernel), frames (innermost first), thread, pid",
}
KEEP = 128  # frames of a thread
KEEP_THREADS = 1024
NEAR = 4  # lines from one Python frame to the next
GDB = re.compile(
    r"\s{0,8}#(?P<at>\d{1,4}) +(?:0x[0-9a-f]{1,16} in )?(?!Frame 0x|file )(?P<func>[^\s(][^(]{0,300}?) ?\("
)
KERNEL = re.compile(r"\s{0,8}\[<(?:0|[0-9a-f]{8,16})>\] (?P<func>[\w.]{1,100})(?:\+0x[0-9a-f]{1,16}|\s|$)")
PYTHON = re.compile(
    r"\s{0,8}#\d{1,4} (?:Frame 0x[0-9a-f]{1,16}, for )?file (?P<path>[^\s,]{1,400}), line (?P<line>\d{1,9}), "
    r"in (?P<func>[\w<>]{1,200})"
)
THREAD = re.compile(
    r"(?:\[Switching to )?[Tt]hread (?P<thread>\d{1,7}) "
    r"\(Thread 0x[0-9a-f]{1,16} \(LWP (?P<pid>\d{1,10})\).{0,200}"
)
PID = re.compile(
    r"/proc/(?P<pid>\d{1,10})/(?:task/\d{1,10}/)?stack|(?i:attaching to process) (?P<attached>\d{1,10})"
)


def recognises(where: str, head: bytes) -> bool:
    if {"events", "stacks", "flight", "errors", "host"} & set(steps(where)[:-1]):
        return False
    lines = decode(head).splitlines()[:400]
    found = [line for line in lines if GDB.match(line) or KERNEL.match(line) or PYTHON.match(line)]
    return len(found) > 1


def parse(member: Member) -> Iterator[Event]:
    rank = rank_of(member.where)
    yield from of_python(member, rank)
    threads: list[tuple[int, dict[str, object], list[str]]] = []
    about: dict[str, object] = {}
    for number, line in lines_of(member):
        if len(threads) > KEEP_THREADS:
            break
        gdb = GDB.match(line)
        if found := THREAD.match(line):
            about = {"thread": int(found["thread"]), "pid": int(found["pid"])}
        elif found := PID.search(line):
            about = {"pid": int(found["pid"] or found["attached"])}
        elif found := gdb or KERNEL.match(line):
            via = "gdb" if gdb else "kernel"
            is_next = threads and threads[-1][1]["via"] == via and follows(threads[-1], gdb, number)
            if not is_next:
                if not about and threads and threads[-1][2] == [found["func"].strip()]:
                    about = threads.pop()[1]  # `thread 1` shows its first frame, `bt` all of them
                threads.append((number, {**about, "via": via}, []))
                about = {}
            if len(threads[-1][2]) < KEEP:
                threads[-1][2].append(found["func"].strip())
    for number, data, frames in threads:
        event = {"via": data.pop("via"), "frames": frames, **data}
        yield Event("native.stack_read", "native_stack", f"{member.where}:{number}", rank=rank, data=event)


def of_python(member: Member, rank: int | None) -> Iterator[Event]:
    """The first Python stack that gdb shows: its frames go on while their lines stand together."""
    found = [(number, frame) for number, line in lines_of(member) if (frame := PYTHON.match(line))][:KEEP]
    mine = [frame for at, (number, frame) in enumerate(found) if number - found[0][0] <= NEAR * at]
    main = [f"{f['func']} ({f['path'].rpartition('/')[2]}:{f['line']})" for f in mine]
    data: dict[str, object] = {"via": "gdb", "main": main, "paths": [frame["path"] for frame in mine]}
    if mine:
        yield Event("stack.read", "native_stack", f"{member.where}:{found[0][0]}", rank=rank, data=data)


def follows(thread: tuple[int, dict[str, object], list[str]], gdb: re.Match[str] | None, number: int) -> bool:
    """Whether a frame goes on with the stack before it: gdb counts them, the kernel's stand together."""
    if gdb is not None:
        return gdb["at"] != "0"
    return number - thread[0] == len(thread[2])

"""Python stacks of one rank: py-spy's JSON (ours, or its own list), py-spy's text, faulthandler's text.

>>> from io import BytesIO
>>> text = b'Process 7735: python train.py\\n\\nThread 7735 (idle): "MainThread"\\n    fail (train.py:48)\\n    <module> (train.py:77)'
>>> event = next(parse(Member("pyspy_rank1.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.rank, event.data["main"], event.data["active"]
('stack.read', 1, ['fail (train.py:48)', '<module> (train.py:77)'], False)
"""  # noqa: E501

import re
from collections.abc import Iterator

from diagnose.model import Event, Member, Record
from diagnose.text import decode, rank_of, steps, time_of
from diagnose.values import integer, json_value, number, string

EVENTS = {
    "stack.read": "data: via, main (innermost first: `func (file.py:12)`), paths (same order), "
    "active, owns_gil, num_threads, threads (`name: innermost frame`), native (C++ above them, if asked "
    "for); where a thread owned the GIL: "
    "gil_thread, gil_is_main, gil_active, gil_stack (innermost first); where the main thread waits for "
    "another to end: others (each with thread, main, paths, active)",
    "worker.stack_read": "the same of a process below the rank, with its pid in data: worker",
    "source.unreadable": "data: reason",
}
LIMIT = 16 << 20
KEEP = 256  # frames of the main thread; a compile has 60 to 70
KEEP_THREADS = 64
KEEP_GIL = 64
JOINS = {("join", "threading.py"), ("result", "_base.py"), ("main_loop", "worker.py")}  # the last is Ray's
PROCESS = re.compile(r"Process \d{1,10}: ")
THREAD = re.compile(r'Thread (?P<id>\w{1,20}) \((?P<state>[\w+ ]{1,40})\)(?:: "(?P<name>.{0,200})")?')
FRAME = re.compile(r"    (?P<func>\S.{0,300}) \((?P<path>[^()]{1,400}):(?P<line>\d{1,9})\)")
FAULT_THREAD = re.compile(
    r"(?P<current>Current thread|Thread) (?P<id>0x\w{1,20}).{0,200}\(most recent call first\):"
)
FAULT_FRAME = re.compile(r'\s*File "(?P<path>.{1,400})", line (?P<line>\d{1,9}) in (?P<func>.{1,300})')


class Frame(Record, frozen=True):
    func: str
    path: str
    line: int | None
    is_native: bool = False
    caught: str = ""  # what the exception handler catches in which it stands

    def short(self) -> str:
        return f"{self.func} ({self.path.rpartition('/')[2]}:{self.line if self.line is not None else '?'})"


class Thread(Record, frozen=True):
    name: str
    frames: list[Frame]  # innermost first
    active: bool | None = None
    owns_gil: bool | None = None
    is_main: bool = False


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    if names[-1].endswith((".json", ".txt")) and {"stacks", "faults"} & set(names[:-1]):
        return True
    if head.lstrip()[:1] in (b"[", b"{"):
        return b'"frames"' in head and b'"thread_name"' in head
    start = [line for line in decode(head[:4096]).splitlines() if line.strip()][:12]
    return any(PROCESS.match(s) or FAULT_THREAD.match(s) or THREAD.match(s) for s in start) and not any(
        "Fatal Python error" in s or "Traceback (most" in s for s in start
    )


def parse(member: Member) -> Iterator[Event]:
    data, rank, time = member.read(LIMIT), rank_of(member.where, trailing=True), time_of(member.where)
    via, worker = "", None
    if data.lstrip()[:1] in (b"[", b"{"):
        try:
            found = json_value(data)
        except ValueError as error:
            yield unreadable(member, rank, str(error))
            return
        if isinstance(found, dict):
            via = string(found.get("via"), 100)
            time = number(found.get("time")) or time
            told = integer(found.get("rank"))
            rank = told if rank is None and told is not None and told >= 0 else rank
            worker = integer(found.get("pid")) if found.get("worker") is True else None
            found = found.get("threads")
        threads = of_json(found)
    else:
        threads, via = of_text(decode(data))
    if not threads:
        yield unreadable(member, rank, "no thread in it")
        return
    main = next((t for t in threads if t.is_main), threads[0])
    frames = [one for one in main.frames if not one.is_native][:KEEP]
    native = [one.func for one in main.frames[: deepest(main.frames)] if one.is_native]
    handlers = [[frame.short(), frame.caught] for frame in frames if frame.caught]
    yield Event(
        "stack.read" if worker is None else "worker.stack_read",
        "stack_dump",
        member.where,
        time=time,
        rank=rank,
        data={
            "via": via or "py_spy",
            "main": [frame.short() for frame in frames],
            "paths": [frame.path for frame in frames],
            "active": main.active,
            "owns_gil": main.owns_gil,
            "num_threads": len(threads),
            "threads": [
                f"{t.name}: {t.frames[0].short() if t.frames else 'no Python frame'}"
                for t in threads[:KEEP_THREADS]
            ],
            **({"native": native} if native else {}),
            **({"handlers": handlers} if handlers else {}),
            **gil(threads),
            **others(main, threads),
            **({} if worker is None else {"worker": worker}),
        },
    )


def deepest(frames: list[Frame]) -> int:
    """Where the innermost Python frame stands: what is above it shows what its last call is doing."""
    return next((at for at, one in enumerate(frames) if not one.is_native), len(frames))


def gil(threads: list[Thread]) -> dict[str, object]:
    """Who owned the interpreter's lock, and where."""
    owner = next((t for t in threads if t.owns_gil), None)
    if owner is None:
        return {}
    stack = [frame.short() for frame in owner.frames[:KEEP_GIL]]
    return {
        "gil_thread": owner.name,
        "gil_is_main": owner.is_main,
        "gil_active": owner.active,
        "gil_stack": stack,
    }


def others(main: Thread, threads: list[Thread]) -> dict[str, object]:
    """The other threads, where the main one only waits for one of them."""
    inner = {(f.func.rpartition(".")[2], f.path.rpartition("/")[2]) for f in main.frames[:4]}
    if not inner & JOINS:
        return {}
    told = [
        {
            "thread": t.name,
            "main": [frame.short() for frame in t.frames[:KEEP]],
            "paths": [frame.path for frame in t.frames[:KEEP]],
            "active": t.active,
        }
        for t in threads[:KEEP_THREADS]
        if t is not main and t.frames
    ]
    return {"others": told}


def unreadable(member: Member, rank: int | None, reason: str) -> Event:
    return Event("source.unreadable", "stack_dump", member.where, rank=rank, data={"reason": reason})


def of_json(found: object) -> list[Thread]:
    """py-spy's list of threads; of the first process where there are several."""
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    first = rows[0].get("pid") if rows else None
    threads = []
    for row in rows:
        if row.get("pid") != first:
            continue
        stack = row.get("frames")
        own, pid = integer(row.get("os_thread_id")), integer(first)
        name = string(row.get("thread_name"), 200)
        threads.append(
            Thread(
                name=name,
                frames=[frame(one) for one in stack if isinstance(one, dict)]
                if isinstance(stack, list)
                else [],
                active=bool(row.get("active")),
                owns_gil=bool(row.get("owns_gil")),
                is_main=name == "MainThread" or (own is not None and own == pid),
            )
        )
    return threads


def frame(row: dict[str, object]) -> Frame:
    path = string(row.get("filename"), 400) or string(row.get("short_filename"), 400)
    is_native = bool(string(row.get("module"), 10)) and not path.endswith(".py")
    caught = string(row.get("caught"), 200)
    return Frame(string(row.get("name"), 300) or "?", path, integer(row.get("line")), is_native, caught)


def of_text(text: str) -> tuple[list[Thread], str]:
    """py-spy's or faulthandler's text, and which of the two it was."""
    threads: list[Thread] = []
    via, num_processes = "py_spy", 0
    for line in text.splitlines():
        num_processes += bool(PROCESS.match(line))
        if num_processes > 1:
            break
        if found := FAULT_THREAD.match(line):
            via = "faulthandler"
            threads.append(Thread(f"{found['current']} {found['id']}", []))
        elif found := THREAD.match(line):
            state = found["state"].split("+")
            name = found["name"] or found["id"]
            is_main = name == "MainThread"
            threads.append(Thread(name, [], "active" in state, "gil" in state, is_main))
        elif threads and (found := FAULT_FRAME.fullmatch(line) or FRAME.fullmatch(line)):
            threads[-1].frames.append(Frame(found["func"], found["path"], integer(found["line"])))
    if via == "faulthandler" and threads:
        threads = mark_main(threads)
    return threads, via


def mark_main(threads: list[Thread]) -> list[Thread]:
    """faulthandler names no thread: the main one began at a module's top level, and stands last."""
    top = [i for i, t in enumerate(threads) if t.frames and t.frames[-1].func == "<module>"]
    main = top[-1] if top else len(threads) - 1
    return [
        Thread("MainThread" if i == main else t.name, t.frames, is_main=i == main)
        for i, t in enumerate(threads)
    ]

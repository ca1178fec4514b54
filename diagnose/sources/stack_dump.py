"""Python stacks of one rank: py-spy's JSON (ours, or its own list), py-spy's text, faulthandler's text.

>>> from io import BytesIO
>>> text = b'Process 7735: python train.py\\n\\nThread 7735 (idle): "MainThread"\\n    fail (train.py:48)\\n    <module> (train.py:77)'
>>> event = next(parse(Member("pyspy_rank1.txt", len(text), lambda: BytesIO(text))))
>>> event.kind, event.rank, event.data["main"], event.data["active"]
('stack.read', 1, ['fail (train.py:48)', '<module> (train.py:77)'], False)
"""  # noqa: E501

import re
from collections.abc import Iterator

import msgspec

from diagnose import native
from diagnose.model import Event, Member, Record
from diagnose.naming import rank_of, steps, time_of
from diagnose.text import decode
from diagnose.values import integer, json_value, number, string
from diagnose.wrappers import of_groups

EVENTS = {
    "stack.read": "data: via, main (innermost first: `func (file.py:12)`), paths (same order), "
    "active, owns_gil, num_threads, threads (`name: innermost frame`), native (C++ above them, if asked "
    "for); where a thread owned the GIL: "
    "gil_thread, gil_is_main, gil_active, gil_stack (innermost first), gil_native (C above Python), "
    "gil_asked (how many threads wait for it, by their C frames); where the main thread waits for "
    "another to end: others (each with thread, main, paths, active)",
    "worker.stack_read": "the same of a process below the rank, with its pid in data: worker",
    "source.unreadable": "data: reason",
}
LIMIT = 16 << 20
KEEP = 256  # frames of the main thread; a compile has 60 to 70
KEEP_THREADS = 64
KEEP_GIL = 64
JOINS = {("join", "threading.py"), ("result", "_base.py"), ("main_loop", "worker.py")}  # the last is Ray's
KEEP_PROCESSES = 1024  # of one file
TEAMS = {("_worker_loop", "worker.py"), ("worker", "pool.py"), ("_process_worker", "process.py")}
JSON = re.compile(rb"\s{0,99}(?:\[\s{0,99}[{\]]|\{|\[$)")  # a log may begin with a bracket, too
PROCESS = re.compile(r"Process (?P<pid>\d{1,10}): ")
# What people write above one stack of several; what tells the rank in a process's arguments.
HEADING = re.compile(
    r"(?i)[\s#=*\[-]{0,20}(?:[\w-]{1,20} ){0,5}rank[ =:_#-]{0,3}(?P<rank>\d{1,6})\b(?: \([^()]{0,100}\))?"
    r"[\]\s:=#*-]{0,20}"
)
ARGUMENT = re.compile(r"\s--rank[= ](\d{1,6})\b|\bRANK=(\d{1,6})\b")
TITLE = re.compile(r"\b(?:sglang::scheduler|VLLM::Worker)(?P<groups>(?:_[A-Z]{2}\d{1,5}){1,6})\b")
THREAD = re.compile(r'Thread (?:(?P<id>\w{1,20}) )?\((?P<state>[\w+ ]{1,40})\)(?:: "(?P<name>.{0,200})")?')
FRAME = re.compile(
    r"(?: {1,8}|\t)(?P<func>\S.{0,300}?) {1,60}\((?P<path>[^()]{1,400}?)(?::(?P<line>\d{1,9}))?\)"
)
BELOW = re.compile(
    r"\.(?:c|cc|cpp|cu|cuh|h|hpp|S|rs)$"
)  # C's sources: a frame of `--native`, as one without line
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
    if JSON.match(head):
        return b'"frames"' in head and b'"thread_name"' in head
    start = [line for line in decode(head[:4096]).splitlines() if line.strip()][:12]
    return any(PROCESS.match(s) or FAULT_THREAD.match(s) or THREAD.match(s) for s in start) and not any(
        "Fatal Python error" in s or "Traceback (most" in s for s in start
    )


class Part(Record, frozen=True):
    """The threads of one process; `rank` where a heading or its arguments tell it, `line` where it begins."""

    threads: list[Thread]
    via: str = "py_spy"
    rank: int | None = None
    pid: int | None = None
    line: int = 1


def parse(member: Member) -> Iterator[Event]:
    data, rank, time = member.read(LIMIT), rank_of(member.where, trailing=True), time_of(member.where)
    worker = None
    if JSON.match(data):
        try:
            found, via = json_value(data), ""
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
        found_parts = of_json(found, via or "py_spy")
    else:
        found_parts = of_text(decode(data))
    found_parts = [part for part in found_parts if part.threads]
    if not found_parts:
        yield unreadable(member, rank, "no thread in it")
        return
    mains = [part for part in found_parts if not is_team(part.threads)]
    if rank_of(member.where) is None and (len(mains) > 1 or any(part.pid == rank for part in mains)):
        rank = None  # the number in the file's name is of a host, or a pid
    if worker is not None:
        yield told_of(member, found_parts[0], rank, time, worker)
        return
    seen: set[int] = set()
    for part in found_parts[:KEEP_PROCESSES]:
        of = part.rank if part.rank is not None else rank
        if of is None or of not in seen:
            yield told_of(member, part, of, time)
        elif part.pid is not None and is_team(part.threads):
            yield told_of(member, part, of, time, part.pid)
        seen |= {of} if of is not None else set()


def is_team(threads: list[Thread]) -> bool:
    """Whether a process is a loader's worker or one of a pool."""
    main = main_of(threads)
    return any((f.func.rpartition(".")[2], f.path.rpartition("/")[2]) in TEAMS for f in main.frames)


def main_of(threads: list[Thread]) -> Thread:
    return next((t for t in threads if t.is_main), threads[0])


def told_of(
    member: Member, part: Part, rank: int | None, time: float | None, worker: int | None = None
) -> Event:
    """One process as an event."""
    threads, main = part.threads, main_of(part.threads)
    frames = [one for one in main.frames if not one.is_native][:KEEP]
    native = [one.func for one in main.frames[: deepest(main.frames)] if one.is_native]
    handlers = [[frame.short(), frame.caught] for frame in frames if frame.caught]
    is_team_of_nobody = rank is None and worker is None and is_team(threads)
    return Event(
        "stack.read" if worker is None and not is_team_of_nobody else "worker.stack_read",
        "stack_dump",
        member.where if part.line == 1 else f"{member.where}:{part.line}",
        time=time,
        rank=rank,
        data={
            "via": part.via,
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
            **({"pid": part.pid} if rank is None and part.pid is not None else {}),
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
    inner = [one.func for one in owner.frames[: deepest(owner.frames)]]
    asked = sum(native.asks([frame.func for frame in t.frames]) for t in threads if t is not owner)
    return {
        "gil_thread": owner.name,
        "gil_is_main": owner.is_main,
        "gil_active": owner.active,
        "gil_stack": [frame.short() for frame in owner.frames[:KEEP_GIL]],
        **({"gil_native": inner[:KEEP_GIL]} if inner else {}),
        **({"gil_asked": asked} if asked else {}),
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


def of_json(found: object, via: str) -> list[Part]:
    """py-spy's list of threads, by process."""
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    by_pid: dict[int | None, list[Thread]] = {}
    for row in rows:
        stack, pid = row.get("frames"), integer(row.get("pid"))
        own, name = integer(row.get("os_thread_id")), string(row.get("thread_name"), 200)
        by_pid.setdefault(pid, []).append(
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
    return [Part(threads, via, pid=pid) for pid, threads in by_pid.items()]


def frame(row: dict[str, object]) -> Frame:
    path = string(row.get("filename"), 400) or string(row.get("short_filename"), 400)
    is_native = bool(string(row.get("module"), 10)) and not path.endswith(".py")
    caught = string(row.get("caught"), 200)
    return Frame(string(row.get("name"), 300) or "?", path, integer(row.get("line")), is_native, caught)


def of_text(text: str) -> list[Part]:
    """py-spy's or faulthandler's text, by process: a heading of a rank, or py-spy's own, begins one."""
    found = [Part([])]
    for at, line in enumerate(text.splitlines(), 1):
        if told := HEADING.fullmatch(line):
            found.append(Part([], rank=int(told["rank"]), line=at))
        elif told := PROCESS.match(line):
            told_rank = rank_in(line)
            before = found.pop() if not found[-1].threads else Part([], line=at)
            rank = before.rank if told_rank is None else told_rank
            found.append(Part([], rank=rank, pid=int(told["pid"]), line=before.line))
        elif told := FAULT_THREAD.match(line):
            found[-1] = msgspec.structs.replace(found[-1], via="faulthandler")
            found[-1].threads.append(Thread(f"{told['current']} {told['id']}", []))
        elif told := THREAD.match(line):
            state = told["state"].split("+")
            name = told["name"] or told["id"]
            is_main = name == "MainThread"
            found[-1].threads.append(Thread(name, [], "active" in state, "gil" in state, is_main))
        elif found[-1].threads and (frame := frame_of(line)):
            found[-1].threads[-1].frames.append(frame)
    return [
        msgspec.structs.replace(part, threads=mark_main(part.threads))
        if part.via == "faulthandler" and part.threads
        else part
        for part in found
    ]


def rank_in(command: str) -> int | None:
    """The rank that a process's arguments or its title tell.

    >>> rank_in("Process 7: python train.py --rank 3"), rank_in("Process 7: sglang::scheduler_TP1")
    (3, 1)
    """
    if named := ARGUMENT.search(command):
        return int(named[1] or named[2])
    titled = TITLE.search(command)
    return of_groups(titled["groups"].strip("_").split("_")) if titled else None


def frame_of(line: str) -> Frame | None:
    """A frame as py-spy or faulthandler writes it.

    >>> [frame_of(line).is_native for line in ("    pthread_cond_wait (libc.so.6)", "    wait (queue.py:9)")]
    [True, False]
    """
    told = FAULT_FRAME.fullmatch(line) or FRAME.fullmatch(line)
    if not told:
        return None
    number = integer(told["line"])
    return Frame(told["func"], told["path"], number, number is None or bool(BELOW.search(told["path"])))


def mark_main(threads: list[Thread]) -> list[Thread]:
    """faulthandler names no thread: the main one began at a module's top level, and stands last."""
    top = [i for i, t in enumerate(threads) if t.frames and t.frames[-1].func == "<module>"]
    main = top[-1] if top else len(threads) - 1
    return [
        Thread("MainThread" if i == main else t.name, t.frames, is_main=i == main)
        for i, t in enumerate(threads)
    ]

"""What one rank's main thread is doing, read from its stack and its process state. Pure."""

import re
from collections.abc import Sequence

import msgspec

from diagnose import behind, native
from diagnose.looks import Look
from diagnose.model import Event, Record, rows
from diagnose.scans import IDLE_CPU_S, STOPPED, deep, moves_bytes, spent, without_main, works
from diagnose.stackframes import (
    LOCK_FILES,
    below,
    by_stack,
    frames,
    is_library,
    own_frame,
    own_frames,
    paths,
    split,
)

LIBRARY_WAITS = ("torch/distributed/", "torch/futures/")  # a bare wait of theirs is for other ranks
WORK_WAIT = re.compile(r"\.wait\([^()]*\)")  # waits of locks and threads have Python frames of their own
LOCK_CALL = re.compile(r"(.*\.(acquire|get|put|join)\(.*\))?", re.S)  # without any call it is a `with`
FUTEX = {202, 98}  # x86-64, arm64
SLEEPS = {35, 230, 101, 115}  # nanosleep, clock_nanosleep on both
WAITS = {"collective", "loader", "lock", "sleep"}  # they poll: their library's frames change without a move
TEAMS = {("_worker_loop", "worker.py"), ("worker", "pool.py"), ("_process_worker", "process.py")}
SEEN_BARE = {"D", *STOPPED}  # states that tell of a worker although it gave no stack: others may be idle
WORKING = {"busy", "native"}
PARENTS = {"loader", "lock", "blocked", "checkpoint"}  # they may wait for threads or processes of their own
NAMED = {"collective", "rendezvous", "compile", "import", "checkpoint", "storage", "exit"}


class Activity(Record, frozen=True):
    """What a rank, or a worker process of it, does.

    `is_`: compile, import, collective, rendezvous, loader, checkpoint, storage, lock, gil, device, sleep,
    busy (in Python), native (busy in C code), stopped, exit, blocked or unknown. `moving`: whether anything
    differed between the two scans (None: one scan).
    """

    is_: str
    frame: str  # the frame that decided, or the innermost one
    caller: str  # the program's own innermost frame
    moving: bool | None
    event: Event
    state: str = ""  # the kernel's letter, where both scans agree
    file: str = ""  # what it reads or writes at this moment
    behind: str = ""  # what it waits for in the kernel, and who is at the other end
    at_work: bool = False  # bytes, modules, its workers or a child of its own move; CPU alone may spin
    thread: int | None = None  # whose state and file these are, where not the main thread's
    worker: int | None = None  # the pid of a process below the rank
    in_team: bool = False  # of a loader or a pool: its rank may wait for what it does
    proofs: list[Event] = []  # what else shows it


def of_rank(look: Look, rank: int, waits: bool) -> Activity | None:
    """What a rank does at a look; `waits`: the flight recorder has it waiting in a collective."""
    asked = look.each(rank, "interpreter.asked")
    held = bool(asked[-1].data.get("held")) if asked else None
    found = of_process(look.each(rank, "stack.read"), look.each(rank, "proc.dumped"), waits, held)
    if found and found.is_ == "gil":
        return msgspec.structs.replace(found, proofs=asked[-1:])
    if found and is_bare(found) and is_for_work(look, rank, found):
        return msgspec.structs.replace(found, is_="collective")
    team = [w for w in of_workers(look, rank) if w.in_team] if found and found.is_ in PARENTS else []
    if found and any(w.moving or w.is_ in WORKING for w in team):
        return msgspec.structs.replace(found, moving=True, at_work=True)  # slow: its workers are
    return found


def is_bare(found: Activity) -> bool:
    """Whether the kernel alone calls it a lock: C code may as well wait there for another rank."""
    is_named = split(found.frame)[1] in LOCK_FILES or native.by_names([found.frame]) is not None
    return found.is_ == "lock" and not is_named


def is_for_work(look: Look, rank: int, found: Activity) -> bool:
    """Whether a bare wait is for a call of the library that was begun before: `work.wait()` has no frame."""
    stacks = look.each(rank, "stack.read")
    top = paths(stacks[-1])[0] if stacks and frames(stacks[-1])[:1] == [found.frame] else ""
    if any(part in top for part in LIBRARY_WAITS):
        return True
    text = called_at(look, rank, found.frame)
    return text is not None and WORK_WAIT.search(text) is not None


def may_be_work(look: Look, rank: int, found: Activity) -> bool:
    """Whether a bare wait may be for other ranks: its line is not known, or makes some other call."""
    text = called_at(look, rank, found.frame)
    return is_bare(found) and (text is None or LOCK_CALL.fullmatch(text) is None)


def called_at(look: Look, rank: int, frame: str) -> str | None:
    """The call that the source has at a frame of a rank, empty for a line without; None if not known."""
    told = [e.data.get("places") for e in look.each(rank, "stack.placed")]
    placed = [row for each in told for row in rows(each)]
    return next((str(row.get("call", "")) for row in placed if row.get("frame") == frame), None)


def stands_still(look: Look, rank: int, doing: Activity) -> bool:
    """Whether no thread of a rank did anything between the two scans."""
    used = spent(look.each(rank, "proc.dumped"), "cpu_s")
    return doing.moving is False and used is not None and used <= IDLE_CPU_S


def of_workers(look: Look, rank: int) -> list[Activity]:
    """What the processes below a rank do, those without work left out."""
    by_pid: dict[int, list[Event]] = {}
    for event in look.each(rank, "worker.stack_read", "worker.dumped"):
        if isinstance(pid := event.data.get("worker"), int):
            by_pid.setdefault(pid, []).append(event)
    found = []
    for pid, events in sorted(by_pid.items()):
        stacks = [own_part(e) for e in events if e.kind == "worker.stack_read"]
        activity = of_process(stacks, [e for e in events if e.kind == "worker.dumped"], False, None)
        settled = not is_idle(stacks[-1]) if stacks else activity is not None and activity.state in SEEN_BARE
        if activity and settled:
            in_team = bool(stacks) and any(split(frame) in TEAMS for frame in frames(stacks[-1]))
            found.append(msgspec.structs.replace(activity, worker=pid, in_team=in_team))
    return found


def own_part(event: Event) -> Event:
    """A worker's stack without what it inherited from the thread that forked it."""
    stack = frames(event)
    born = next(
        (i for i, frame in enumerate(stack) if split(frame) == ("_bootstrap", "process.py")), len(stack)
    )
    data = {**event.data, "main": stack[:born], "paths": paths(event)[:born]}
    return msgspec.structs.replace(event, data=data)


def is_idle(event: Event) -> bool:
    """Whether a worker waits for something to do."""
    functions = [split(frame) for frame in frames(event)]
    return ("get", "queues.py") in functions and not any(file == "fetch.py" for _, file in functions)


def of_process(
    stacks: Sequence[Event], procs: Sequence[Event], waits: bool, held: bool | None
) -> Activity | None:
    """What a process does by its scans; `held`: whether its interpreter (GIL) was asked for in vain."""
    if not stacks and not procs:
        return None
    stacks = [acting(event) for event in stacks]
    if stacks and "thread" in stacks[-1].data:
        procs = [without_main(event) for event in procs]
    event = (stacks or procs)[-1]
    states = {str(p.data.get("state")) for p in procs}
    state = next(iter(states)) if len(states) == 1 else ""
    file = str(procs[-1].data.get("file") or "") if procs else ""
    caller = own_frame(event)
    if procs and states <= STOPPED:
        return Activity("stopped", "", caller, False, procs[-1], "T")
    is_, frame = decide(stacks, procs, state, waits)
    if is_ not in NAMED and holds_interpreter(stacks, held):
        is_ = "gil"
        if (thread := event.data.get("gil_thread")) and not event.data.get("gil_is_main"):
            frame = caller = f"{next(iter(gil_stack(event)), '?')} in the thread {thread}"
    moving = False if is_ == "gil" else moved(stacks, procs, is_)
    is_fed = is_ not in {*WORKING, "collective", "rendezvous"} and (moves_bytes(procs) or behind.works(procs))
    at_work = moving is True and (is_ == "import" or is_fed)  # an endless loop may read and write, too
    found = Activity(is_, frame, caller, moving, event, state, file, behind.told(procs), at_work)
    below = deep(procs) if is_ in PARENTS else None
    return msgspec.structs.replace(found, state="D", thread=below[0], file=below[1]) if below else found


def acting(event: Event) -> Event:
    """The stack of the thread that acts: another one, where the main thread waits for just that one's end."""
    told = rows(event.data.get("others"))
    each = [msgspec.structs.replace(event, data={**event.data, **row}) for row in told]
    able = [
        one for one in each if own_frames(one) or (by_stack(one) or ("",))[0] in {"checkpoint", "collective"}
    ]
    return able[0] if len(able) == 1 else event


def decide(stacks: Sequence[Event], procs: Sequence[Event], state: str, waits: bool) -> tuple[str, str]:
    """The activity and the frame that shows it: the stack's word first, else the kernel's."""
    settled = by_stack(stacks[-1]) or below(stacks[-1]) if stacks else None
    top = next(iter(frames(stacks[-1])), "") if stacks else ""
    if waits and (settled is None or settled[0] == "lock"):
        return "collective", top
    kernel = by_process(stacks, procs, state)
    if settled and settled[0] == "loader" and not is_library(paths(stacks[-1])[0]):
        return (kernel, top) if kernel in {"lock", "busy"} else settled  # a loader without workers
    return settled or (kernel, top)


def by_process(stacks: Sequence[Event], procs: Sequence[Event], state: str) -> str:
    """What the kernel says of a thread whose stack shows the program's own code only."""
    if state == "D":
        return "storage"
    if stacks and not any(map(frames, stacks)):
        return "unknown"  # no Python at all: the interpreter begins, or ends
    calls = {call if isinstance(call := p.data.get("syscall"), int) else None for p in procs}
    if stacks and stacks[-1].data.get("active") and not sleeps(procs):
        return "native" if is_native(stacks) else "busy"
    if calls and calls <= FUTEX:
        return "lock"
    if calls and calls <= SLEEPS:
        return "sleep"
    if procs and procs[-1].data.get("state") == "R":
        return "busy"
    return "blocked" if procs or stacks else "unknown"


def sleeps(procs: Sequence[Event]) -> bool:
    """Whether the kernel has it asleep: py-spy takes any thread of another pid namespace for active."""
    return len(procs) > 1 and all(p.data.get("state") == "S" for p in procs) and not works(procs)


def is_native(stacks: Sequence[Event]) -> bool:
    """Whether it runs at one place without the GIL: in C code, as one that spins until its device is done."""
    return all(e.data.get("owns_gil") is False and frames(e) == frames(stacks[0]) for e in stacks)


def holds_interpreter(stacks: Sequence[Event], held: bool | None) -> bool:
    """Whether one thread keeps the GIL: nobody else got it, or its owner slept with it in both scans."""
    if held is not None:
        return held
    owners = [gil_stack(event) for event in stacks]
    if len(stacks) == 1 and owners[0]:
        return sleeps_with_it(stacks[0])
    asleep = all(event.data.get("gil_active") is False for event in stacks)
    return len(stacks) > 1 and asleep and bool(owners[0]) and all(owner == owners[0] for owner in owners)


def sleeps_with_it(event: Event) -> bool:
    """Whether one stack alone shows it: the owner waits in C, below another thread than the main one, or
    below any while a thread waits for the lock.
    """
    told = event.data.get("gil_native")
    inner = [str(name) for name in told[:4]] if isinstance(told, list) else []
    is_else = not event.data.get("gil_is_main") or bool(event.data.get("gil_asked"))
    return is_else and any(native.SLEEPS.search(name) for name in inner)


def gil_stack(event: Event) -> list[str]:
    """The frames of the thread that owned the GIL, if one did."""
    value = event.data.get("gil_stack")
    return [str(frame) for frame in value] if isinstance(value, list) else []


def moved(stacks: Sequence[Event], procs: Sequence[Event], is_: str) -> bool | None:
    """Whether two scans of one process differ in frames, or in more than idle CPU time or bytes."""
    places = own_frames if is_ in WAITS else frames
    if len(stacks) > 1 and places(stacks[0]) != places(stacks[-1]):
        return True
    if len(procs) > 1 and (works(procs) or behind.works(procs)):
        return True
    if procs and all(p.data.get("state") == "R" for p in procs):
        return None  # it would run, and the machine did not let it
    return False if len(stacks) > 1 or len(procs) > 1 else None

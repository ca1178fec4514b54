"""What one rank's main thread is doing, read from its stack and its process state. Pure.

Signatures are function and file names of torch's and Python's own code, as they stand on real stacks.
"""

import re
import sys
from collections.abc import Sequence

import msgspec

from diagnose import native
from diagnose.looks import Look
from diagnose.model import Event, Record
from diagnose.scans import IDLE_CPU_S, STOPPED, deep, spent, without_main, works

# A warm compiled model shows the wrappers' frames while it merely runs; these two only while it compiles.
COMPILE_FILES = {"convert_frame.py", "compile_fx.py", "cpp_extension.py", "file_baton.py"}
COMPILE_PATHS = ("/triton/compiler/", "/triton/backends/", "/deep_gemm/jit", "/flashinfer/jit/")
COMPILE_CALLS = {  # what is left of a compile where a report leaves frames out
    *(("_wait_futures", "async_compile.py"), ("precompile", "triton_heuristics.py")),
    *(("compile_to_module", "graph.py"), ("_compile_to_module", "graph.py")),
    *(("call_user_compiler", "output_graph.py"), ("benchmark_all_configs", "triton_heuristics.py")),
}
LOADER_FUNCTIONS = {"_try_get_data", "_next_data", "_get_data", "_process_next_batch", "_shutdown_workers"}
SAVE_FUNCTIONS = {"save_checkpoint", "_save_checkpoint", "save_pretrained", "save_file"}
JOINING = {(name, "distributed_c10d.py") for name in ("_store_based_barrier", "init_process_group")}
AT_EXIT = {("_shutdown", "threading.py"), ("_python_exit", "thread.py"), ("_exit_function", "util.py")}
INNER = 4  # frames of a wait: what is waited for
LOCK_FILES = {"threading.py", "queue.py", "synchronize.py", "locks.py"}
LIBRARY_WAITS = ("torch/distributed/", "torch/futures/")  # a bare wait of theirs is for other ranks
WORK_WAIT = re.compile(r"\.wait\([^()]*\)")  # waits of locks and threads have Python frames of their own
LOCK_CALL = re.compile(r"(.*\.(acquire|get|put|join)\(.*\))?", re.S)  # without any call it is a `with`
FUTEX = {202, 98}  # x86-64, arm64
SLEEPS = {35, 230, 101, 115}  # nanosleep, clock_nanosleep on both
INSTALLED = ("site-packages/", "dist-packages/", "/lib/python", "/diagnose_rank/")  # the last: our hook
PACKAGES = {*sys.stdlib_module_names, "torch", "triton", "numpy", "transformers", "accelerate", "deepspeed"}
KEEP = 256  # frames of a stack that are looked at; a compile has 60 to 70
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
    thread: int | None = None  # whose state and file these are, where not the main thread's
    worker: int | None = None  # the pid of a process below the rank
    in_team: bool = False  # of a loader or a pool: its rank may wait for what it does
    proofs: list[Event] = []  # what else shows it


def frames(event: Event) -> list[str]:
    value = event.data.get("main")
    return [str(frame) for frame in value][:KEEP] if isinstance(value, list) else []


def paths(event: Event) -> list[str]:
    """The frames' files, as many as there are frames."""
    value = event.data.get("paths")
    found = [str(path) for path in value][:KEEP] if isinstance(value, list) else []
    return found + [""] * (len(frames(event)) - len(found))


def split(frame: str) -> tuple[str, str]:
    """`Class.func (file.py:12)` -> (`func`, `file.py`). From Python 3.11 on names are qualified.

    >>> split("all_reduce (distributed_c10d.py:3252)"), split("Queue.get (queues.py:113)")
    (('all_reduce', 'distributed_c10d.py'), ('get', 'queues.py'))
    """
    function, _, rest = frame.partition(" (")
    return function.rpartition(".")[2], rest.rstrip(")").rpartition(":")[0].rpartition("/")[2]


def by_stack(event: Event) -> tuple[str, str] | None:
    """The activity that the frames alone settle, with the frame that does."""
    stack = frames(event)
    pairs = [split(frame) for frame in stack]
    for (function, file), path, frame in zip(pairs, paths(event), stack, strict=False):
        if function != "<module>" and compiles(file, path):
            return "compile", frame
    for pair, frame in zip(pairs, stack, strict=True):
        if pair in COMPILE_CALLS:
            return "compile", frame
    for (function, file), path, frame in zip(pairs, paths(event), stack, strict=False):
        if function != "<module>" and (named := by_frame(function, file, path)):
            is_start = named == "collective" and any(pair in JOINING for pair in pairs)
            return "rendezvous" if is_start else named, frame
    if pairs and pairs[0][1] in LOCK_FILES:
        is_fed = any(function == "__next__" for function, _ in pairs[1:INNER])  # a thread fills its queue
        return "loader" if is_fed else "lock", stack[0]
    saves = next((f for f, (function, _) in zip(stack, pairs, strict=True) if function in SAVE_FUNCTIONS), "")
    return ("checkpoint", saves) if saves else None


def compiles(file: str, path: str) -> bool:
    """Whether a frame is there only while something is compiled, or another's compile is awaited.

    >>> compiles("compiler.py", "triton/compiler/compiler.py"), compiles("jit.py", "triton/runtime/jit.py")
    (True, False)
    """
    return file in COMPILE_FILES or any(part in f"/{path}" for part in COMPILE_PATHS)  # py-spy has no root


def below(event: Event) -> tuple[str, str] | None:
    """A mutex that the C frames below Python wait for."""
    told = event.data.get("native")
    found = native.by_names([str(name) for name in told]) if isinstance(told, list) else None
    return found if found and found[0] == "lock" else None


def by_frame(function: str, file: str, path: str) -> str:
    """What one frame of a library settles; empty where it settles nothing."""
    if function == "_find_and_load":
        return "import"
    if (function, file) in AT_EXIT:
        return "exit"
    if file == "rendezvous.py" or function in {"_store_based_barrier", "init_process_group"}:
        return "rendezvous"
    if file in {"distributed_c10d.py", "_functional_collectives.py"}:
        return "collective"
    if path.endswith("torch/utils/data/dataloader.py"):
        return "loader"
    if file in {"dataloader.py", "stateful_dataloader.py"} and function in LOADER_FUNCTIONS:
        return "loader"
    if "torch/distributed/checkpoint/" in path or file == "filesystem.py":
        return "checkpoint"
    if file == "serialization.py" and function in {"save", "_save"}:
        return "checkpoint"
    if function == "synchronize" and (file == "streams.py" or path.endswith("/cuda/__init__.py")):
        return "device"
    return ""


def is_library(path: str) -> bool:
    """Whether a frame's file is no part of the program. py-spy's text leaves out where packages lie.

    >>> [is_library(p) for p in ("/v/lib/python3.11/site-packages/x.py", "torch/nn/a.py", "queue.py", "<s>")]
    [True, True, True, True]
    >>> [is_library(p) for p in ("/app/train.py", "train.py", "/app/torch/x.py")]
    [False, False, False]
    """
    if any(part in path for part in INSTALLED) or path.startswith("<"):
        return True
    return path.partition("/")[0].removesuffix(".py") in PACKAGES


def own_frames(event: Event) -> list[str]:
    """The frames of the program itself: not in an installed package or the standard library."""
    return [f for f, path in zip(frames(event), paths(event), strict=False) if not is_library(path)]


def own_frame(event: Event) -> str:
    """The innermost frame of the program itself, else the innermost one."""
    return next(iter(own_frames(event) or frames(event)), "")


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
        return msgspec.structs.replace(found, moving=True)  # slow: its workers are at work
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
    rows = [row for rows in told if isinstance(rows, list) for row in rows if isinstance(row, dict)]
    return next((str(row.get("call", "")) for row in rows if row.get("frame") == frame), None)


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
    found = Activity(is_, frame, caller, moving, event, state, file)
    below = deep(procs) if is_ in PARENTS else None
    return msgspec.structs.replace(found, state="D", thread=below[0], file=below[1]) if below else found


def acting(event: Event) -> Event:
    """The stack of the thread that acts: another one, where the main thread waits for just that one's end."""
    told = event.data.get("others")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    each = [msgspec.structs.replace(event, data={**event.data, **row}) for row in rows]
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
    if stacks and stacks[-1].data.get("active"):
        return "native" if is_native(stacks) else "busy"
    if calls and calls <= FUTEX:
        return "lock"
    if calls and calls <= SLEEPS:
        return "sleep"
    if procs and procs[-1].data.get("state") == "R":
        return "busy"
    return "blocked" if procs or stacks else "unknown"


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
    if len(procs) > 1 and works(procs):
        return True
    return False if len(stacks) > 1 or len(procs) > 1 else None

"""What one rank's main thread is doing, read from its stack and its process state. Pure.

Signatures are function and file names of torch's and Python's own code, as they stand on real stacks.
"""

import sys
from collections.abc import Sequence

from diagnose.looks import Look
from diagnose.model import Event, Record

# A warm compiled model shows the wrappers' frames while it merely runs; these two only while it compiles.
COMPILE_FILES = {"convert_frame.py", "compile_fx.py"}
COMPILE_PATHS = ("/triton/compiler/", "/triton/backends/")
LOADER_FUNCTIONS = {"_try_get_data", "_next_data", "_get_data", "_process_next_batch"}
LOCK_FILES = {"threading.py", "queue.py", "synchronize.py", "locks.py"}
FUTEX = {202, 98}  # x86-64, arm64
SLEEPS = {35, 230, 101, 115}  # nanosleep, clock_nanosleep on both
INSTALLED = ("site-packages/", "dist-packages/", "/lib/python")
PACKAGES = {*sys.stdlib_module_names, "torch", "triton", "numpy", "transformers", "accelerate", "deepspeed"}
KEEP = 256  # frames of a stack that are looked at; a compile has 60 to 70


class Activity(Record, frozen=True):
    """What a rank does.

    `is_`: compile, import, collective, rendezvous, loader, checkpoint, storage, lock, sleep, busy, stopped,
    blocked or unknown. `moving`: whether anything differed between the two scans (None: one scan).
    """

    is_: str
    frame: str  # the frame that decided, or the innermost one
    caller: str  # the program's own innermost frame
    moving: bool | None
    event: Event


def frames(event: Event) -> list[str]:
    value = event.data.get("main")
    return [str(frame) for frame in value][:KEEP] if isinstance(value, list) else []


def paths(event: Event) -> list[str]:
    value = event.data.get("paths")
    return [str(path) for path in value][:KEEP] if isinstance(value, list) else []


def split(frame: str) -> tuple[str, str]:
    """`func (file.py:12)` -> (`func`, `file.py`).

    >>> split("all_reduce (distributed_c10d.py:3252)")
    ('all_reduce', 'distributed_c10d.py')
    """
    function, _, rest = frame.partition(" (")
    return function, rest.rstrip(")").rpartition(":")[0].rpartition("/")[2]


def by_stack(event: Event) -> tuple[str, str] | None:
    """The activity that the frames alone settle, with the frame that does."""
    stack = frames(event)
    pairs = [split(frame) for frame in stack]
    for (function, file), path, frame in zip(pairs, paths(event) or [""] * len(pairs), stack, strict=False):
        if function != "<module>" and (file in COMPILE_FILES or any(part in path for part in COMPILE_PATHS)):
            return "compile", frame
    if any(function == "_find_and_load" for function, _ in pairs):
        return "import", stack[0]
    for (function, file), frame in zip(pairs, stack, strict=True):
        if file in {"rendezvous.py"} or function in {"_store_based_barrier", "init_process_group"}:
            return "rendezvous", frame
        if file in {"distributed_c10d.py", "_functional_collectives.py"}:
            return "collective", frame
        if file == "dataloader.py" and function in LOADER_FUNCTIONS:
            return "loader", frame
        if (file == "serialization.py" and function in {"save", "_save"}) or file == "filesystem.py":
            return "checkpoint", frame
    if pairs and pairs[0][1] in LOCK_FILES:
        return "lock", stack[0]
    return None


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


def own_frame(event: Event) -> str:
    """The innermost frame of the program itself: not in an installed package or the standard library."""
    for frame, path in zip(frames(event), paths(event), strict=False):
        if not is_library(path):
            return frame
    return next(iter(frames(event)), "")


def of_rank(look: Look, rank: int, waits: bool) -> Activity | None:
    """What a rank does at a look; `waits`: the flight recorder has it waiting in a collective."""
    stacks = look.each(rank, "stack.read")
    procs = look.each(rank, "proc.dumped")
    newest = (stacks or procs)[-1:] or None
    if newest is None:
        return None
    event = newest[0]
    moving = moved(stacks, procs)
    if procs and all(p.data.get("state") in {"T", "t"} for p in procs):
        return Activity("stopped", "", own_frame(event), False, procs[-1])
    settled = by_stack(stacks[-1]) if stacks else None
    if settled and (settled[0] != "lock" or not waits):
        return Activity(settled[0], settled[1], own_frame(event), moving, event)
    top = next(iter(frames(event)), "")
    if waits:
        return Activity("collective", top, own_frame(event), moving, event)
    return Activity(by_process(stacks, procs), top, own_frame(event), moving, event)


def by_process(stacks: Sequence[Event], procs: Sequence[Event]) -> str:
    """What the kernel says of a thread whose stack shows the program's own code only."""
    if procs and procs[-1].data.get("state") == "D":
        return "storage"
    calls = {p.data.get("syscall") for p in procs}
    if stacks and stacks[-1].data.get("active"):
        return "busy"
    if calls and calls <= FUTEX:
        return "lock"
    if calls and calls <= SLEEPS:
        return "sleep"
    if procs and procs[-1].data.get("state") == "R":
        return "busy"
    return "blocked" if procs or stacks else "unknown"


def moved(stacks: Sequence[Event], procs: Sequence[Event]) -> bool | None:
    """Whether two scans of one rank differ in frames or in more than idle CPU time."""
    if len(stacks) > 1 and frames(stacks[0]) != frames(stacks[-1]):
        return True
    spent = [c for p in procs if isinstance(c := p.data.get("cpu_s"), int | float)]
    if len(spent) > 1 and spent[-1] - spent[0] > 0.5:
        return True
    return False if len(stacks) > 1 or len(spent) > 1 else None

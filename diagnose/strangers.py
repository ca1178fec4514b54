"""Stacks of processes whose rank nobody told: dumps of a whole host, and where a Ctrl-C found a program.

They name no rank, but they part those who wait in a collective from those who stand elsewhere. C frames alone
tell less: only what is a wait whoever began it. Pure.
"""

from collections.abc import Iterator

from diagnose import native
from diagnose.activity import TEAMS, Activity, is_bare, is_idle, of_process, own_part
from diagnose.model import Event, Evidence, Record, line_of
from diagnose.stackframes import below, by_stack, frames, paths, split

LAUNCHERS = (
    "torch/distributed/elastic/", "torch/distributed/launch", "torch/distributed/run.py",
    "torch/multiprocessing/spawn.py", "accelerate/commands/", "deepspeed/launcher/",
)  # fmt: skip
MAIN = 1  # the number that gdb gives to the main thread
MEETS = {"collective", "rendezvous"}


class Stranger(Record, frozen=True):
    doing: Activity
    event: Event
    waits: bool  # in a collective
    is_bare: bool  # a lock by the kernel's word alone: it may as well be a wait for others

    @property
    def who(self) -> str:
        if self.event.rank is not None:
            return f"rank {self.event.rank}"
        pid = self.event.data.get("pid")
        return f"process {pid}" if pid is not None else "a process"


def strangers(evidence: Evidence, with_ranks: bool = False) -> list[Stranger]:
    """One for each process; nobody where anything tells who is who. `with_ranks`: of known ranks, too."""
    if {"agent", "rank_hook"} & evidence.read:
        return []
    stacks = list(evidence.of("stack.read"))
    mine = [e for e in stacks if with_ranks or e.rank is None]
    found = mine if stacks else list(interrupted(evidence))
    found += [own_part(e) for e in evidence.of("worker.stack_read") if e.rank is None and is_locked(e)]
    doing = [(of_process([event], [], False, None), event) for event in found]
    own = [Stranger(one, event, one.is_ in MEETS, is_bare(one)) for one, event in doing if one is not None]
    below = (one for event in evidence.of("native.stack_read") if (one := below_python(event)))
    holding = list(holders(evidence))
    kept = {line_of(one.event)[0] for one in holding}  # what else these show follows from it
    return [*own, *holding, *(one for one in below if line_of(one.event)[0] not in kept)]


def is_locked(event: Event) -> bool:
    """Whether a worker that has something to do waits for a lock."""
    return not is_idle(event) and (by_stack(own_part(event)) or below(event) or ("",))[0] == "lock"


def below_python(event: Event) -> Stranger | None:
    """What a main thread's C frames tell; None where they tell nothing."""
    found = native.by_names(names(event)) if event.data.get("thread", MAIN) == MAIN else None
    if found is None or found[0] in ("idle", "device"):
        return None
    is_, frame = found
    state = "D" if is_ == "storage" and event.data.get("via") == "kernel" else ""
    doing = Activity(is_, frame, "", None, event, state)
    return Stranger(doing, event, is_ in MEETS, False)


def holders(evidence: Evidence) -> Iterator[Stranger]:
    """Who keeps the interpreter's lock, by C frames of several threads of one process.

    Another thread waits for the lock: it is the one thread in a C call of the interpreter's that does not.
    """
    by_file: dict[str, list[Event]] = {}
    for event in evidence.of("native.stack_read"):
        by_file.setdefault(line_of(event)[0], []).append(event)
    for threads in by_file.values():
        asking = [event for event in threads if native.asks(names(event))]
        able = {event.data.get("thread"): event for event in threads if native.may_hold(names(event))}
        if asking and len(able) == 1:
            [event] = able.values()
            doing = Activity("gil", next(iter(names(event)), ""), "", None, event, proofs=asking[:1])
            yield Stranger(doing, event, False, False)


def names(event: Event) -> list[str]:
    """A thread's C functions, innermost first."""
    told = event.data.get("frames")
    return [str(name) for name in told] if isinstance(told, list) else []


def interrupted(evidence: Evidence) -> Iterator[Event]:
    """Where a Ctrl-C found each process, as its stack; launchers and workers wait for those."""
    seen: set[object] = set()
    for event in evidence.of("exception.raised"):
        told = event.data.get("frames")
        if event.data.get("type") != "KeyboardInterrupt" or not isinstance(told, list) or not told:
            continue
        places = [part for frame in reversed(told) if (part := place(str(frame)))]
        stack = Event(
            "stack.read",
            event.source,
            event.where,
            time=event.time,
            rank=event.rank,
            data={"main": [text for text, _ in places], "paths": [path for _, path in places]},
        )
        is_other = any(part in path for path in paths(stack) for part in LAUNCHERS)
        is_worker = any(split(frame) in TEAMS for frame in frames(stack))
        key = event.rank if event.rank is not None else event.where
        if places and not is_other and not is_worker and key not in seen:
            seen.add(key)
            yield stack


def place(frame: str) -> tuple[str, str] | None:
    """`/a/b.py:12 in f` -> (`f (b.py:12)`, `/a/b.py`).

    >>> place("/a/b.py:12 in f")
    ('f (b.py:12)', '/a/b.py')
    """
    at, _, function = frame.rpartition(" in ")
    path, _, line = at.rpartition(":")
    return (f"{function} ({path.rpartition('/')[2]}:{line})", path) if path else None

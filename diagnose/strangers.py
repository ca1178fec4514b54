"""Stacks of processes whose rank nobody told: dumps of a whole host, and where a Ctrl-C found a program.

They name no rank, but they part those who wait in a collective from those who stand elsewhere. C frames alone
tell less: only what is a wait whoever began it. Pure.
"""

import re
from collections.abc import Iterator

from diagnose.activity import LOCK_FILES, TEAMS, Activity, frames, of_process, paths, split
from diagnose.model import Event, Evidence, Record

LAUNCHERS = (
    "torch/distributed/elastic/", "torch/distributed/launch", "torch/distributed/run.py",
    "torch/multiprocessing/spawn.py", "accelerate/commands/", "deepspeed/launcher/",
)  # fmt: skip
NATIVE = (  # the first that any frame fits counts; a wait for a condition is what idle threads do
    (
        "collective",
        re.compile(r"^(?:p?nccl[A-Z]|c10d::(?:ProcessGroup|Work|Reducer)|gloo::|P?MPI_|bootstrap[A-Z])"),
    ),
    (
        "device",
        re.compile(
            r"^(?:cu|cuda)(?:Stream|Device|Event|Ctx)Synchronize|^cuMemcpy|^nvidia_|^_nv\d{6}rm|^os_acquire_"
        ),
    ),
    (
        "idle",
        re.compile(
            r"pthread_cond_(?:timed)?wait|^epoll_wait|^ep_poll|^do_epoll_wait|^take_gil|^PyEval_RestoreThread"
        ),
    ),
    (
        "storage",
        re.compile(
            r"^(?:nfs\d?_|rpc_wait|fuse_|request_wait_answer|ll_|cl_io_|osc_|ceph_|cxiWait|wait_on_page|folio_wait"
            r"|io_schedule|jbd2_|xfs_|ext4_|blk_mq_)"
        ),
    ),
    ("lock", re.compile(r"pthread_mutex_lock|lll_(?:mutex_)?lock|pthread_rwlock_|pthread_spin_lock")),
)
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


def strangers(evidence: Evidence) -> list[Stranger]:
    """One for each process; nobody where anything tells who is who."""
    if {"agent", "rank_hook"} & evidence.read:
        return []
    stacks = list(evidence.of("stack.read"))
    found = [e for e in stacks if e.rank is None] if stacks else list(interrupted(evidence))
    doing = [(of_process([event], [], False, None), event) for event in found]
    own = [
        Stranger(one, event, one.is_ in MEETS, one.is_ == "lock" and split(one.frame)[1] not in LOCK_FILES)
        for one, event in doing
        if one is not None
    ]
    return own + [one for event in evidence.of("native.stack_read") if (one := below_python(event))]


def below_python(event: Event) -> Stranger | None:
    """What a thread's C frames tell; None where they tell nothing."""
    told = event.data.get("frames")
    names = [str(name) for name in told] if isinstance(told, list) else []
    if event.data.get("thread", MAIN) != MAIN:
        return None
    for is_, words in NATIVE:
        if frame := next((name for name in names if words.search(name)), ""):
            if is_ in ("idle", "device"):
                return None
            state = "D" if is_ == "storage" and event.data.get("via") == "kernel" else ""
            doing = Activity(is_, frame, "", None, event, state)
            return Stranger(doing, event, is_ in MEETS, False)
    return None


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

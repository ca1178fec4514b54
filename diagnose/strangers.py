"""Stacks of processes whose rank nobody told: dumps of a whole host, and where a Ctrl-C found a program.

They name no rank, but they part those who wait in a collective from those who stand elsewhere. Pure.
"""

from collections.abc import Iterator

from diagnose.activity import TEAMS, Activity, frames, of_process, paths, split
from diagnose.model import Event, Evidence, Record

LAUNCHERS = (
    "torch/distributed/elastic/", "torch/distributed/launch", "torch/distributed/run.py",
    "torch/multiprocessing/spawn.py", "accelerate/commands/", "deepspeed/launcher/",
)  # fmt: skip
MEETS = {"collective", "rendezvous"}


class Stranger(Record, frozen=True):
    doing: Activity
    event: Event
    waits: bool  # in a collective

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
    return [Stranger(one, event, one.is_ in MEETS) for one, event in doing if one is not None]


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

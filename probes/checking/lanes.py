"""Checks in forked children of this process: some at the same time, each with a deadline, then the lone ones.

A fork costs milliseconds where a start of Python costs a tenth of a second; what never answers is killed, and
not waited for.
"""

import contextlib
import json
import math
import os
import selectors
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from probes import deadline, procfs
from probes.checking.check import Check, Target, Value

WIDTH = 4  # lanes at the same time: most of them wait for something
Said = dict[
    str, Any
]  # `check`, and what became of it: started, took_s, measurements, skip, error, unanswered


class Work(NamedTuple):
    """One check that is to be made."""

    name: str
    check: Check
    module: ModuleType


def lanes(works: Sequence[Work]) -> list[list[Work]]:
    """The checks by lane, those that others come after first; a check without a lane has one for itself."""
    found: dict[str, list[Work]] = {}
    for work in sorted(works, key=lambda work: (bool(work.check.after), work.name)):
        found.setdefault(work.check.lane or f"={work.name}", []).append(work)
    return list(found.values())


def run(works: Sequence[Work], target: Target, budget_s: float) -> Iterator[Said]:
    """Everything that is said while the checks are made. No child is left when it ends."""
    end = time.monotonic() + budget_s
    found = lanes(works)
    lone = [lane for lane in found if any(work.check.alone for work in lane)]
    others = sorted((lane for lane in found if lane not in lone), key=longest, reverse=True)
    yield from Shift(others, target, WIDTH).run(end)
    yield from Shift(lone, target, 1).run(end)


def longest(lane: Sequence[Work]) -> float:
    return sum(work.check.limit_s for work in lane)


class Lane:
    """A child that makes the checks of one lane, one after the other."""

    def __init__(self, works: Sequence[Work], target: Target) -> None:
        self.works, self.target = list(works), target
        self.spoiled: dict[str, str] = {}  # checks without an answer, and why
        self.held, self.since = b"", time.monotonic()
        self.child = self.fork()

    def fork(self) -> deadline.Child:
        self.held, self.since = b"", time.monotonic()
        return deadline.fork(lambda fd: make(self.works, self.target, self.spoiled, fd))

    def hear(self) -> tuple[list[Said], bool]:
        """What the child has said, and whether it has ended."""
        part = os.read(self.child.fd, 65536)
        *lines, self.held = (self.held + part).split(b"\n")
        told: list[Said] = [json.loads(line) for line in lines]
        for said in told:
            self.since = time.monotonic()
            if "took_s" in said:
                self.works = [work for work in self.works if work.name != said["check"]]
                self.note(said)
        return told, not part

    def note(self, said: Said) -> None:
        if why := said.get("error") or said.get("skip"):
            self.spoiled[said["check"]] = why

    def is_late(self) -> bool:
        return bool(self.works) and time.monotonic() - self.since > self.works[0].check.limit_s

    def give_up(self, error: str, unanswered: bool) -> Said:
        """Kill the child; the check it was at has no answer."""
        self.end()
        work = self.works.pop(0)
        took_s = round(time.monotonic() - self.since, 3)
        said = {"check": work.name, "took_s": took_s, "error": error, "unanswered": unanswered}
        self.note(said)
        return said

    def end(self) -> None:
        below = descendants(self.child.pid)
        deadline.end(self.child)
        for pid in below:  # what a check started may be in a session of its own
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


class Shift:
    """So many lanes at a time, until all are done or the time is over."""

    def __init__(self, todo: Sequence[Sequence[Work]], target: Target, width: int) -> None:
        self.waiting, self.target, self.width = list(todo), target, width
        self.running: dict[int, Lane] = {}
        self.selector = selectors.DefaultSelector()

    def run(self, end: float) -> Iterator[Said]:
        try:
            while (self.waiting or self.running) and time.monotonic() < end:
                while self.waiting and len(self.running) < self.width:
                    self.begin(Lane(self.waiting.pop(0), self.target))
                ready = {key.fd for key, _ in self.selector.select(0.05)}
                for fd, lane in list(self.running.items()):
                    yield from self.look(lane, fd in ready)
            left = [lane.works for lane in self.running.values()] + [list(works) for works in self.waiting]
            for work in (work for works in left for work in works):
                yield {"check": work.name, "took_s": 0.0, "skip": "the time for all checks was spent"}
        finally:
            for lane in self.running.values():
                lane.end()
            self.selector.close()

    def begin(self, lane: Lane) -> None:
        self.running[lane.child.fd] = lane
        self.selector.register(lane.child.fd, selectors.EVENT_READ)

    def look(self, lane: Lane, is_ready: bool) -> Iterator[Said]:
        """Hear a lane; one that is late or has died goes on without the check it was at."""
        told, is_over = lane.hear() if is_ready else ([], False)
        yield from told
        if not is_over and not lane.is_late():
            return
        self.selector.unregister(lane.child.fd)
        del self.running[lane.child.fd]
        if not lane.works:
            deadline.end(lane.child)  # it has ended: nothing is below it any more
            return
        limit = f"no answer within {lane.works[0].check.limit_s:g} s"
        yield lane.give_up("its process ended" if is_over else limit, not is_over)
        if lane.works:
            lane.child = lane.fork()
            self.begin(lane)


def make(works: Sequence[Work], target: Target, spoiled: Mapping[str, str], fd: int) -> None:
    """In the child, which goes with its parent: make the checks, and write a line before and after each."""
    deadline.end_with_parent(signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    spoiled = dict(spoiled)
    for work in works:
        tell(fd, {"check": work.name, "started": True})
        begun = time.monotonic()
        if why := spoiled.get(work.check.after):
            said: Said = {"skip": f"{work.check.after}: {why}"}
        else:
            said = made(work, target)
        if why := said.get("error") or said.get("skip"):
            spoiled[work.name] = why
        tell(fd, {"check": work.name, "took_s": round(time.monotonic() - begun, 3), **said})


def made(work: Work, target: Target) -> Said:
    """The measurements of one check; an error of its own stays its own."""
    try:
        found = list(work.module.measure(target))
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    if not found:
        return {"skip": "nothing to measure"}
    said: Said = {"measurements": [{**one._asdict(), "values": finite(one.values)} for one in found]}
    return said | ({"skip": found[0].skip} if all(one.skip for one in found) else {})


def finite(values: Mapping[str, Value]) -> dict[str, Value]:
    """JSON has no infinity: a number that is none is not known."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def tell(fd: int, said: Said) -> None:
    view = memoryview(json.dumps(said, default=str).encode() + b"\n")
    while view:
        view = view[os.write(fd, view) :]


def descendants(pid: int) -> list[int]:
    """Everything below a process, as of now."""
    parents = {one: stat.ppid for one in procfs.pids() if (stat := procfs.stat(one))}
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {pid})

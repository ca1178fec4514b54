"""Exceptions that a rank caught and outlived: those it printed, and the handler its main thread stands in.

A line of an `except` block runs only after an exception was caught there: that is proof, printed or not.
Some handlers are no more than a branch (`except StopIteration`, `except KeyError`): those name no fault.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from diagnose.endings import ended
from diagnose.looks import Look, decisive, looks
from diagnose.losses import is_loss
from diagnose.model import Event, Evidence, Fact, FactKind, Record, line_of, named
from diagnose.raisings import identity, is_end, kinds, parted
from diagnose.standing import waits as waits_of
from diagnose.waiting import Waiting, ranks

NEEDS = ("stack_dump", "rank_log", "launcher_log")
KINDS = {
    "exception.hidden": FactKind(
        "a rank caught one and lives; data: by, apart (awaited, or in another call), branch, alone, resolved",
        NEEDS,
    ),
    "exception.printed": FactKind(
        "a rank printed a traceback that did not end it; data: type, message", ("rank_log", "launcher_log")
    ),
}
BRANCHES = re.compile(
    r"(?:\w+\.)*(?:Stop(?:Async)?Iteration|(?:Key|Index|Lookup|Attribute|Name|Import|ModuleNotFound|FileNotFound"
    r"|FileExists|NotImplemented)Error|Empty|Full)"
)
NEAR_LINES = 5  # of a log: a traceback that nothing but this follows is the last thing that its rank said


class Handler(Record, frozen=True):
    """Where a rank's main thread stands in a handler, and what that catches."""

    frame: str
    catches: str
    event: Event

    @property
    def place(self) -> str:
        return self.frame.rpartition(":")[0]

    @property
    def is_branch(self) -> bool:
        return all(BRANCHES.fullmatch(name.strip()) for name in self.catches.split(","))


def derive(evidence: Evidence) -> Iterable[Fact]:
    uncaught, caught = parted(evidence)
    printed = {rank: found for rank, chains in caught.items() if (found := primary(chains))}
    for rank, event in printed.items():
        name, message = event.data.get("type", ""), str(event.data.get("message", "")).split("\n")[0][:200]
        yield Fact(
            kind="exception.printed",
            text=f"{named([rank])} printed a traceback and went on: {name}: {message}",
            ranks=[rank],
            data={"type": name, "message": message},
            since=event.time,
            events=[event],
        )
    if newest := decisive(evidence):
        yield from gone_on(newest, printed, evidence)
    yield from left(printed, uncaught, evidence)


def left(
    printed: dict[int, Event], uncaught: dict[int, list[list[Event]]], evidence: Evidence
) -> Iterable[Fact]:
    """Ranks whose last words were a traceback, and that ended as if all were well: their peers lost them."""
    losers = {event.rank for event in evidence.events if is_loss(event)}
    for rank, chains in uncaught.items():
        losers |= {rank for chain in chains for kind, _ in kinds(chain) if kind != "exception.raised"}
    ends = ended(evidence)
    for rank, last in printed.items():
        if rank in ends and ends[rank].code == 0 and losers - {rank} and is_last(last, evidence):
            yield Fact(
                kind="exception.hidden",
                text=f"{named([rank])} printed a traceback and then ended with code 0",
                ranks=[rank],
                data={"by": "end", "apart": True, "branch": False, "alone": True, "resolved": False},
                since=last.time,
                events=[last, ends[rank].event],
            )


def gone_on(newest: Look, printed: dict[int, Event], evidence: Evidence) -> Iterable[Fact]:
    """Ranks that stand in a handler, or went apart from the others after a traceback they outlived."""
    held = handlers(newest)
    scenes = [Scene(look, evidence) for look in looks(evidence)] if held else []
    now = Scene(newest, evidence)
    for rank in sorted({*held, *printed}):
        one, last = held.get(rank), printed.get(rank)
        scene = next((s for s in scenes if one and one.place == s.places.get(rank)), now)
        if one is None and (last is None or not (rank in now.strange or is_late(rank, last, now, evidence))):
            continue
        text = f"{named([rank])} went on without the others after a traceback that did not end it"
        if one is not None:
            text = f"{named([rank])} is in an exception handler at {one.frame}; it catches {one.catches}"
        alike = {r for r, e in printed.items() if last is not None and identity(e) == identity(last)}
        yield Fact(
            kind="exception.hidden",
            text=text,
            ranks=[rank],
            data={
                "by": "handler" if one else "log",
                "apart": rank in scene.awaited | scene.strange,
                "branch": one is not None and one.is_branch and last is None,
                "alone": not set(evidence.ranks) <= (set(scene.places) if one else alike),
                "resolved": newest.resolved_after_s is not None,
            },
            events=[*([one.event] if one else []), *([last] if last else [])],
            inferred=any(wait.inferred for wait in scene.waits),
        )


class Scene:
    """One look. For a rank in a handler the first that shows it there counts: later the others give up."""

    def __init__(self, look: Look, evidence: Evidence) -> None:
        self.look, self.evidence = look, evidence

    @cached_property
    def places(self) -> dict[int, str]:
        """The handler in which each rank stands."""
        return {rank: one.place for rank, one in handlers(self.look).items()}

    @cached_property
    def waits(self) -> list[Waiting]:
        return waits_of(self.look, self.evidence)

    @cached_property
    def awaited(self) -> set[int]:
        waiting = {rank for wait in self.waits for rank in ranks(wait.waiting)}
        return {rank for wait in self.waits for rank in ranks(wait.awaited)} - waiting

    @cached_property
    def strange(self) -> set[int]:
        return odd(self.waits)


def is_late(rank: int, last: Event, now: Scene, evidence: Evidence) -> bool:
    """Whether others wait for a rank whose last words are a traceback."""
    return rank in now.awaited and is_last(last, evidence)


def odd(waits: list[Waiting]) -> set[int]:
    """Ranks that wait in another call than most that wait at the same place; all of them at a tie."""
    found: set[int] = set()
    for wait in waits:
        calls = {member.rank: call for member in wait.waiting if (call := member.signature(wait.seq))}
        counts = Counter(calls.values()).most_common(2)
        if len(counts) > 1:
            usual = counts[0][0] if counts[0][1] > counts[1][1] else None
            found |= {rank for rank, call in calls.items() if call != usual}
    return found


def primary(chains: list[list[Event]]) -> Event | None:
    """The last exception of a rank's own that it printed."""
    found = [e for chain in chains for kind, e in kinds(chain) if kind == "exception.raised" and is_end(e)]
    return found[-1] if found else None


def handlers(look: Look) -> dict[int, Handler]:
    """The innermost handler that each rank's main thread stood in, at every scan of a look."""
    stacks: dict[int, list[Event]] = {}
    for event in (e for scan in look.scans for e in scan if e.kind == "stack.read" and e.rank is not None):
        stacks.setdefault(event.rank or 0, []).append(event)
    found = {rank: [handler(event) for event in events] for rank, events in stacks.items()}
    return {rank: ones[-1] for rank, ones in found.items() if all(ones) and ones[-1] is not None}


def handler(event: Event) -> Handler | None:
    rows = event.data.get("handlers")
    pairs = [row for row in rows if isinstance(row, list) and len(row) == 2] if isinstance(rows, list) else []
    return Handler(frame=str(pairs[0][0]), catches=str(pairs[0][1]), event=event) if pairs else None


def is_last(event: Event, evidence: Evidence) -> bool:
    """Whether a traceback stands at the end of its rank's own log."""
    path, line = line_of(event)
    lines = next(
        (
            e.data.get("num_lines")
            for e in evidence.of("log.read")
            if e.where == path and e.rank == event.rank
        ),
        None,
    )
    return isinstance(lines, int) and line > 0 and lines - line <= NEAR_LINES

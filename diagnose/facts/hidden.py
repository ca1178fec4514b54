"""Exceptions that a rank caught and outlived: those it printed, and the handler its main thread stands in.

A line of an `except` block runs only after an exception was caught there: that is proof, printed or not.
Some handlers are no more than a branch (`except StopIteration`, `except KeyError`): those name no fault.
"""

import re
from collections import Counter
from collections.abc import Iterable

from diagnose.looks import Look, decisive
from diagnose.model import Event, Evidence, Fact, FactKind, Record, named
from diagnose.raisings import identity, is_end, kinds, parted
from diagnose.waitgraph import Waiting, ranks, stuck

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
    def is_branch(self) -> bool:
        return all(BRANCHES.fullmatch(name.strip()) for name in self.catches.split(","))


def derive(evidence: Evidence) -> Iterable[Fact]:
    printed = {rank: found for rank, chains in parted(evidence)[1].items() if (found := primary(chains))}
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
    look = decisive(evidence)
    if look is None:
        return
    standing = {rank: one for rank in evidence.ranks if (one := handler(look, rank))}
    waits = stuck(look, evidence)
    awaited = {rank for w in waits for rank in ranks(w.awaited)} - {
        r for w in waits for r in ranks(w.waiting)
    }
    apart = awaited | odd(waits)
    for rank in evidence.ranks:
        held, last = standing.get(rank), printed.get(rank)
        is_near = last is not None and (
            rank in apart - awaited or (rank in awaited and is_last(last, evidence))
        )
        if held is None and not is_near:
            continue
        text = f"{named([rank])} went on without the others after a traceback that did not end it"
        if held is not None:
            text = f"{named([rank])} is in an exception handler at {held.frame}; it catches {held.catches}"
        alike = [r for r, e in printed.items() if last is not None and identity(e) == identity(last)]
        yield Fact(
            kind="exception.hidden",
            text=text,
            ranks=[rank],
            data={
                "by": "handler" if held else "log",
                "apart": rank in apart,
                "branch": held is not None and held.is_branch and last is None,
                "alone": not set(evidence.ranks) <= set(standing if held else alike),
                "resolved": look.resolved_after_s is not None,
            },
            events=[*([held.event] if held else []), *([last] if last else [])],
        )


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


def handler(look: Look, rank: int) -> Handler | None:
    """The innermost handler that a rank's main thread stood in, at every scan of a look."""
    found: list[Handler] = []
    for event in look.each(rank, "stack.read"):
        rows = event.data.get("handlers")
        pairs = (
            [row for row in rows if isinstance(row, list) and len(row) == 2] if isinstance(rows, list) else []
        )
        if not pairs:
            return None
        found.append(Handler(frame=str(pairs[0][0]), catches=str(pairs[0][1]), event=event))
    return found[-1] if found else None


def is_last(event: Event, evidence: Evidence) -> bool:
    """Whether a traceback stands at the end of its rank's own log."""
    path, _, line = event.where.rpartition(":")
    lines = next(
        (
            e.data.get("num_lines")
            for e in evidence.of("log.read")
            if e.where == path and e.rank == event.rank
        ),
        None,
    )
    return isinstance(lines, int) and line.isdigit() and lines - int(line) <= NEAR_LINES

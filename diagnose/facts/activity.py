"""What each rank does at the look that shows the fault: one statement a rank."""

import re
from collections.abc import Iterable

from diagnose.activity import Activity, of_rank, of_workers
from diagnose.looks import Look, decisive
from diagnose.model import Evidence, Fact, FactKind, named
from diagnose.waitgraph import ranks, stuck

KINDS = {
    "rank.activity": FactKind(
        "what the main thread does, or a worker process that it waits for; data: is, frame, moving, awaited "
        "(others wait for this rank), alone (nobody waits), resolved, state (the kernel's letter), file, "
        "worker (its pid)",
        ("stack_dump", "agent"),
    ),
    "process.stopped": FactKind("the process is stopped by a signal or a debugger", ("agent",)),
}
AFTER = ("raised", "died", "ended", "foreign")
SWEPT = {9, 15}  # a rank that others end this way does what it did until then
LOST = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? (?P<pid>\d+)[^)]{0,200}\) "
    r"(?:is killed by signal: (?P<signal>[A-Z][\w ]{2,30})|exited unexpectedly)|"
    r"DataLoader timed out after [\d.]+ seconds"
)
TIDY = {"Terminated", "Interrupt"}  # how launchers and people end workers
WORDS = {
    "compile": "is compiling",
    "import": "is importing modules",
    "collective": "waits in a collective",
    "rendezvous": "waits in the rendezvous",
    "loader": "waits for its data loader",
    "checkpoint": "writes a checkpoint",
    "lock": "waits for a lock in the program's own code",
    "sleep": "sleeps in the program's own code",
    "busy": "is busy in the program's own code",
    "storage": "waits for storage",
    "gil": "holds the interpreter's lock (GIL) in a C call",
    "device": "waits for its device",
    "stopped": "is stopped",
    "blocked": "is blocked outside any collective",
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    yield from lost_workers(evidence)
    look = decisive(evidence)
    if look is None:
        return
    waits = stuck(look, evidence)
    waiting = {rank for w in waits for rank in ranks(w.waiting)}
    awaited = {rank for w in waits for rank in ranks(w.awaited)} - waiting
    failing = leaving(look, evidence)
    for rank in evidence.ranks:
        if rank in failing:
            continue  # on its way out: what it does then says nothing of what it did
        activity = of_rank(look, rank, rank in waiting)
        if activity is None:
            continue
        held_up = [w for w in of_workers(look, rank) if w.moving is False] if activity.is_ == "loader" else []
        for doing in [activity, *held_up]:
            data: dict[str, object] = {
                "is": doing.is_,
                "frame": doing.frame,
                "moving": doing.moving,
                "awaited": rank in awaited,
                "alone": len(waiting) == 0,
                "resolved": look.resolved_after_s is not None,
                "state": doing.state,
                "file": doing.file,
                "worker": doing.worker,
            }
            yield Fact(
                kind="process.stopped" if doing.is_ == "stopped" else "rank.activity",
                text=describe(rank, doing),
                ranks=[rank],
                data=data,
                events=[doing.event, *doing.proofs],
            )


def describe(rank: int, doing: Activity) -> str:
    who = named([rank]) if doing.worker is None else f"worker {doing.worker} of {named([rank])}"
    place = doing.caller or doing.frame
    state = " (D state)" if doing.state == "D" else ""
    return (
        f"{who} {WORDS.get(doing.is_, 'is somewhere')}{state}"
        + (f", on {doing.file}," if doing.file else "")
        + (f" at {place}" if place else "")
        + {True: ", moving", False: ", not moving", None: ""}[doing.moving]
    )


def lost_workers(evidence: Evidence) -> Iterable[Fact]:
    """What a rank's loader said of a worker that is gone or gives nothing: no look shows that any more."""
    survived = {e.rank for e in evidence.of("rank.died") if e.data.get("exit_code") == 0}
    for event in evidence.of("exception.raised"):
        found = LOST.search(str(event.data.get("message")))
        if found is None or event.rank is None or event.rank in survived or found["signal"] in TIDY:
            continue
        yield Fact(
            kind="rank.activity",
            text=f"{named([event.rank])} lost its data loader: {found[0]}",
            ranks=[event.rank],
            data={
                "is": "loader",
                "frame": "",
                "moving": False,
                "awaited": True,
                "alone": False,
                "resolved": False,
                "state": "",
                "file": "",
                "worker": int(found["pid"]) if found["pid"] else None,
            },
            events=[event],
        )


def leaving(look: Look, evidence: Evidence) -> set[int | None]:
    """Ranks that raised, or went by themselves, by the end of the look.

    At a stall only those whose main thread's end the hook saw: other exceptions may have been handled.
    """
    gone = [e for e in evidence.of("rank.died") if e.data.get("signal") not in SWEPT]
    raised = [
        e
        for e in evidence.of("exception.raised")
        if look.cause in AFTER or (e.source == "rank_hook" and e.data.get("thread") == "MainThread")
    ]
    return {e.rank for e in [*gone, *raised] if look.time is None or e.time is None or e.time <= look.time}

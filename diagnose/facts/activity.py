"""What each rank does at the look that shows the fault: one statement a rank."""

from collections.abc import Iterable

from diagnose.activity import of_rank
from diagnose.looks import Look, decisive
from diagnose.model import Evidence, Fact, FactKind, named
from diagnose.raisings import parted
from diagnose.waitgraph import ranks, stuck

KINDS = {
    "rank.activity": FactKind(
        "what the main thread does; data: is, frame, moving, awaited (others wait for this rank), resolved",
        ("stack_dump", "agent"),
    ),
    "process.stopped": FactKind("the process is stopped by a signal or a debugger", ("agent",)),
}
AFTER = ("raised", "died", "ended", "foreign")
SWEPT = {9, 15}  # a rank that others end this way does what it did until then
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
    "storage": "waits for storage (D state)",
    "stopped": "is stopped",
    "blocked": "is blocked outside any collective",
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    look = decisive(evidence)
    if look is None:
        return
    waits = stuck(look, evidence)
    waiting = {rank for w in waits for rank in ranks(w.waiting)}
    awaited = {rank for w in waits for rank in ranks(w.awaited)} - waiting
    failing = leaving(look, evidence) if look.cause in AFTER else set()
    for rank in evidence.ranks:
        if rank in failing:
            continue  # on its way out: what it does then says nothing of what it did
        activity = of_rank(look, rank, rank in waiting)
        if activity is None:
            continue
        still = {True: ", moving", False: ", not moving", None: ""}[activity.moving]
        place = activity.caller or activity.frame
        words = WORDS.get(activity.is_, "is somewhere") + (f" at {place}" if place else "")
        data: dict[str, object] = {
            "is": activity.is_,
            "frame": activity.frame,
            "moving": activity.moving,
            "awaited": rank in awaited,
            "alone": len(waiting) == 0,
            "resolved": look.resolved_after_s is not None,
        }
        kind = "process.stopped" if activity.is_ == "stopped" else "rank.activity"
        yield Fact(
            kind=kind,
            text=f"{named([rank])} {words}{still}",
            ranks=[rank],
            data=data,
            events=[activity.event],
        )


def leaving(look: Look, evidence: Evidence) -> set[int | None]:
    """Ranks that raised, or went by themselves, by the end of the look."""
    raised = [e for chains in parted(evidence)[0].values() for chain in chains for e in chain]
    return {
        e.rank
        for e in [*raised, *evidence.of("rank.died")]
        if e.data.get("signal") not in SWEPT and (look.time is None or e.time is None or e.time <= look.time)
    }

"""What each rank does at the look that shows the fault: one statement a rank."""

import re
from collections.abc import Iterable

import msgspec

from diagnose.activity import (
    PARENTS,
    SEEN_BARE,
    WORKING,
    Activity,
    is_bare,
    of_process,
    of_rank,
    of_workers,
    stands_still,
)
from diagnose.filelocks import locked
from diagnose.looks import Look, decisive
from diagnose.losses import is_timeout
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.raisings import is_stop, parted
from diagnose.standing import may_come
from diagnose.standing import waits as waits_of
from diagnose.strangers import strangers
from diagnose.waiting import ranks

KINDS = {
    "rank.activity": FactKind(
        "what the main thread does, or a worker process that it waits for; data: is, frame, moving, still "
        "(no move was seen; a foreign dump may be the only one), awaited (others wait for this rank, or the "
        "whole job stands still), alone (nobody waits), resolved, state (the kernel's letter), file, "
        "worker (its pid), at_work (it imports, moves bytes, or what it waits for works), live (nothing had "
        "failed yet)",
        ("stack_dump", "native_stack", "agent"),
    ),
    "process.stopped": FactKind(
        "the process is stopped by a signal or a debugger", ("agent", "process_table")
    ),
}
FAILED = ("raised", "died", "ended")
AFTER = (*FAILED, "foreign")
STUCK = {"lock", "loader", "storage", "checkpoint", "gil"}
MEETS = {"collective", "rendezvous"}  # waits for other ranks, though no dump says in what
OPEN = {"stalled", "asked", "expiring"}
OVER = ("exception.raised", "gloo.timed_out", "nccl.watchdog_timed_out", "rank.died", "command.ended")
SWEPT = {9, 15}  # a rank that others end this way does what it did until then
LOST = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? (?P<pid>\d+)[^)]{0,200}\) "
    r"(?:is killed by signal: (?P<signal>[A-Z][\w ]{2,30})|exited unexpectedly)|"
    r"DataLoader timed out after [\d.]+ seconds"
)
# What its main process meets instead, if a worker goes just as it hands over a batch.
CUT = {"ConnectionResetError", "ConnectionRefusedError", "BrokenPipeError", "EOFError", "FileNotFoundError"}
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
    "native": "is busy in native code",
    "storage": "waits for storage",
    "gil": "holds the interpreter's lock (GIL) in a C call",
    "device": "waits for its device",
    "stopped": "is stopped",
    "exit": "has come to its end, and waits for its threads or processes",
    "blocked": "is blocked outside any collective",
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    yield from lost_workers(evidence)
    yield from stopped(evidence)
    look = decisive(evidence)
    waits = waits_of(look, evidence) if look else []
    yield from starved(evidence)
    yield from of_strangers(evidence, not waits and not any(evidence.of("flight.read")))
    if look is None:
        return
    waiting = {rank for w in waits for rank in ranks(w.waiting)}
    awaited = (
        {rank for w in waits for rank in ranks(w.awaited)} - waiting if had_time(look, evidence) else set()
    )
    failing = leaving(look, evidence)
    held = locked(look)
    awaited |= {one.holder for one in held} - {one.rank for one in held} - waiting
    found = {rank: of_rank(look, rank, rank in waiting) for rank in evidence.ranks if rank not in failing}
    doing = {rank: activity for rank, activity in found.items() if activity is not None}
    nobody = not waiting and nothing_moves(look, doing, evidence)
    coming, inferred = may_come(look, evidence, waits), any(w.inferred for w in waits)
    live = is_live(look, evidence)
    for rank, main in doing.items():
        for one in [main, *held_up(look, rank, main)]:
            data: dict[str, object] = {
                "is": one.is_,
                "frame": one.frame,
                "moving": one.moving,
                "still": one.moving is False or (one.moving is None and look.cause == "foreign"),
                "awaited": rank in awaited or (nobody and is_stuck(main)),
                "alone": len(waiting) == 0,
                "resolved": look.resolved_after_s is not None,
                "state": one.state,
                "file": one.file,
                "worker": one.worker,
                "at_work": one.at_work,
                "live": live,
            }
            is_stopped = one.is_ == "stopped" and one.worker is None
            yield Fact(
                kind="process.stopped" if is_stopped else "rank.activity",
                text=describe(named([rank]), one),
                ranks=[rank],
                data=data,
                events=[one.event, *one.proofs],
                inferred=inferred and not is_stopped,
                open=rank in coming and not is_stopped,
            )


def of_strangers(evidence: Evidence, with_ranks: bool = False) -> Iterable[Fact]:
    """What processes of no known rank do outside the collective that most of them wait in.

    Where none waits in one, or as many do, only what is a wait by itself counts: stacks are taken of jobs
    that hang. `with_ranks`: also those of known ranks, where nothing tells who waits for whom.
    """
    found = strangers(evidence, with_ranks)
    callers = [one for one in found if one.waits]
    away = [one for one in found if not one.waits]
    if callers and len(away) > len(callers):
        return
    is_clear = len(away) < len(callers)
    for one in away:
        doing = one.doing
        if one.is_bare:
            continue
        if not is_clear and doing.is_ not in STUCK:
            continue
        fact = held_outside(
            one.event.rank, doing, [one.event, *(other.event for other in callers[:2])], not callers
        )
        waiting = f", and {len(callers)} wait in a collective" if callers else ""
        yield msgspec.structs.replace(fact, text=describe(one.who, doing) + waiting)


def held_outside(rank: int | None, doing: Activity, events: list[Event], alone: bool) -> Fact:
    """What one process does that others wait for, by a dump alone."""
    return Fact(
        kind="rank.activity",
        text=describe(named([] if rank is None else [rank]), doing),
        ranks=[] if rank is None else [rank],
        data={
            "is": doing.is_,
            "frame": doing.frame,
            "moving": None,
            "still": True,
            "awaited": True,
            "alone": alone,
            "resolved": False,
            "state": doing.state,
            "file": "",
            "worker": None,
        },
        events=events,
        inferred=True,
    )


def starved(evidence: Evidence) -> Iterable[Fact]:
    """Whose watchdog made no progress, while its main thread was at work with the interpreter's lock."""
    stuck = {e.rank: e for e in evidence.of("nccl.heartbeat_lost")} if "agent" not in evidence.read else {}
    for event in evidence.of("stack.read"):
        doing = of_process([event], [], False, None)
        beat = stuck.get(event.rank)
        if beat and doing and doing.is_ in WORKING and event.data.get("owns_gil"):
            yield held_outside(event.rank, msgspec.structs.replace(doing, is_="gil"), [event, beat], False)


def stopped(evidence: Evidence) -> Iterable[Fact]:
    """Processes that a table lists as stopped, and whose rank their arguments do not tell."""
    told = (e for e in evidence.events if e.rank is not None)
    pids = {pid: e.rank for e in told if isinstance(pid := e.data.get("pid"), int)}
    for event in evidence.of("proc.dumped"):
        if event.rank is None and event.data.get("state") == "T":
            pid = event.data.get("pid")
            rank = pids.get(pid) if isinstance(pid, int) else None
            yield Fact(
                kind="process.stopped",
                text=f"process {pid} is stopped",
                ranks=[] if rank is None else [rank],
                data={"resolved": False},
                events=[event],
            )


def held_up(look: Look, rank: int, main: Activity) -> list[Activity]:
    """Workers that do not move, below a rank that may wait for one; a loader waits for its own alone."""
    below = of_workers(look, rank) if main.is_ in PARENTS else []
    mine = [one for one in below if one.in_team or one.state in SEEN_BARE or main.is_ != "loader"]
    return [one for one in mine if one.moving is False]


def had_time(look: Look, evidence: Evidence) -> bool:
    """Whether an absent rank had time to come: at a failure only where somebody's time for it ran out."""
    return look.cause not in FAILED or any(
        is_timeout(e) for e in evidence.events if e.time is None or look.time is None or e.time <= look.time
    )


def is_live(look: Look, evidence: Evidence) -> bool:
    """Whether the job went on, and nobody had failed or run out of patience, as it was looked at."""
    return look.cause in OPEN and not any(evidence.of(*OVER))


def nothing_moves(look: Look, doing: dict[int, Activity], evidence: Evidence) -> bool:
    """Whether a silent job stands still as a whole, each rank by itself: then the job waits for them all."""
    return (
        look.cause == "stalled"
        and len(doing) == max(len(evidence.ranks), evidence.num_ranks or 0)
        and all(is_apart(one) and stands_still(look, rank, one) for rank, one in doing.items())
    )


def is_apart(one: Activity) -> bool:
    """Whether a rank is known to wait for no other rank: without a stack it may."""
    return one.is_ not in MEETS and (bool(one.frame) or one.state == "D")


def is_stuck(one: Activity) -> bool:
    """Whether what a rank stands in is enough to name it; a bare futex may be a wait for another rank."""
    return one.is_ in STUCK and not is_bare(one)


def describe(who: str, doing: Activity) -> str:
    who = who if doing.worker is None else f"worker {doing.worker} of {who}"
    place = doing.caller or doing.frame
    is_active = doing.moving is True and doing.is_ in {"busy", "native"}  # maybe at one line all the time
    moves = "using its CPU" if is_active else {True: "moving", False: "not moving", None: ""}[doing.moving]
    moves = "at work" if doing.at_work else moves
    thread = "" if doing.thread is None else f"its thread {doing.thread} in "
    state = f" ({thread}D state)" if doing.state == "D" else ""
    return (
        f"{who} {WORDS.get(doing.is_, 'is somewhere')}{state}"
        + (f", on {doing.file}," if doing.file.startswith("/") and doing.file not in doing.behind else "")
        + (f" at {place}" if place else "")
        + (f", {moves}" if moves else "")
        + (f": {doing.behind}" if doing.behind and (doing.at_work or doing.moving is not True) else "")
    )


def lost_workers(evidence: Evidence) -> Iterable[Fact]:
    """What a rank's loader said of a worker that is gone or gives nothing: no look shows that any more."""
    survived = {e.rank for e in evidence.of("rank.died") if e.data.get("exit_code") == 0}
    for event in evidence.of("exception.raised"):
        found = LOST.search(str(event.data.get("message")))
        signal = found["signal"] if found else None
        if not (found or is_cut(event)) or event.rank in survived or signal in TIDY:
            continue
        if event.rank is None and signal == "Killed":
            continue  # who did that is the question, and no rank's end or kernel's line can be joined to it
        said = found[0] if found else event.data.get("message")
        yield Fact(
            kind="rank.activity",
            text=f"{named([] if event.rank is None else [event.rank])} lost a data loader: {said}",
            ranks=[] if event.rank is None else [event.rank],
            data={
                "is": "loader",
                "frame": "",
                "moving": False,
                "still": True,
                "awaited": True,
                "alone": False,
                "resolved": False,
                "state": "",
                "file": "",
                "worker": int(found["pid"]) if found and found["pid"] else None,
            },
            events=[event],
            inferred=event.rank is None,  # whether others wait for it, nothing tells
        )


def is_cut(event: Event) -> bool:
    """Whether a loader's connection to a worker broke while a batch came over it."""
    told = event.data.get("frames")
    frames = [str(frame) for frame in told] if isinstance(told, list) else []
    return (
        str(event.data.get("type")).rpartition(".")[2] in CUT
        and any("torch/utils/data/dataloader.py" in frame for frame in frames)
        and any("multiprocessing/" in frame for frame in frames[-4:])
    )


def leaving(look: Look, evidence: Evidence) -> set[int | None]:
    """Ranks that raised, or went by themselves, by the end of the look.

    Not by an interrupt that only an undated log shows: most come after the look, when a person gives up.
    """
    told = [e for chains in parted(evidence)[0].values() for chain in chains for e in chain]
    raised = [e for e in told if e.time is not None or not is_stop(e)]
    return {
        e.rank
        for e in [*raised, *evidence.of("rank.died")]
        if e.data.get("signal") not in SWEPT and (look.time is None or e.time is None or e.time <= look.time)
    }

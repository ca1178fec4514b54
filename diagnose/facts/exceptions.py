"""Exceptions, parted into primary ones and those that only report what happened elsewhere."""

import re
from collections.abc import Iterable

import msgspec

from diagnose.endings import alone, ended
from diagnose.model import Event, Evidence, Fact, FactKind, earliest, named
from diagnose.raisings import is_end, kinds, may_all_live, nameless, parted

NEEDS = ("rank_hook", "elastic_error", "rank_log", "launcher_log")
KINDS = {
    "exception.raised": FactKind(
        "a rank raised, for a reason of its own; data: type, message, frame, first (no other failed before)",
        NEEDS,
    ),
    "collective.timed_out": FactKind("a rank reports that its collective timed out", NEEDS),
    "peer.connection_lost": FactKind("a rank reports that a peer's connection is gone", NEEDS),
    "collective.refused": FactKind("a rank reports that the ranks' calls differ", NEEDS),
    "nccl.failed": FactKind("a rank reports that NCCL failed, without saying of what", NEEDS),
}
KIND_OF_LINE = {
    "gloo.timed_out": "collective.timed_out",
    "nccl.watchdog_timed_out": "collective.timed_out",
    "deepep.timed_out": "collective.timed_out",
    "gloo.connection_closed": "peer.connection_lost",
    "gloo.connection_reset": "peer.connection_lost",
    "nccl.connection_lost": "peer.connection_lost",
}
ASKED = (1, 2, 15)  # signals that ask a process to end
LOGS = {"rank_log", "launcher_log"}  # where an exception's last line may stand alone
DEADLOCK = re.compile(r"DeadLock detected from rank: (\d{1,7})\b")
LATER_S = 5.0  # what a rank raises this long after another had failed follows from that
WORDS = {
    "collective.timed_out": "reports that its collective timed out",
    "peer.connection_lost": "reports a lost connection to a peer",
    "collective.refused": "reports that the ranks' calls differ",
    "nccl.failed": "reports that NCCL failed",
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    uncaught, caught = parted(evidence)
    best: dict[tuple[str, int], list[Event]] = {}
    for chains, is_caught in ((uncaught, False), (caught, True)):
        for rank, mine in chains.items():
            for kind, event in (pair for chain in mine for pair in kinds(chain)):
                if not (is_caught and kind == "exception.raised"):
                    best.setdefault((kind, rank), []).append(event)
    for event in evidence.of(*KIND_OF_LINE):
        if event.rank is not None:
            best.setdefault((KIND_OF_LINE[event.kind], event.rank), []).append(event)
    yield from unnamed(best, evidence)
    begun = failures(best, evidence)
    for (kind, rank), found in sorted(best.items()):
        found.sort(key=lambda e: (not is_end(e), not e.data.get("frames"), e.time is None, e.time or 0.0))
        since = earliest(found)
        before = [
            time for other, time in begun if other != rank and since is not None and time < since - LATER_S
        ]
        yield statement(kind, rank, found, since, not before)


def unnamed(best: dict[tuple[str, int], list[Event]], evidence: Evidence) -> Iterable[Fact]:
    """What somebody raised or reports, where no log tells who; a rank that raised for itself comes first."""
    found: dict[str, list[Event]] = {}
    for kind, event in (pair for chain in nameless(evidence) for pair in kinds(chain)):
        found.setdefault(kind, []).append(event)
    for event in evidence.of(*KIND_OF_LINE):
        if event.rank is None:
            found.setdefault(KIND_OF_LINE[event.kind], []).append(event)
    for kind, events in sorted(found.items()):
        if not any(one == kind for one, _ in best):
            events.sort(key=lambda e: not e.data.get("frames"))
            owner = alone(evidence) if kind == "exception.raised" else None
            owner = deadlocked(evidence) if owner is None and kind == "exception.raised" else owner
            fact = statement(kind, owner, events, earliest(events), True)
            may_be_outlived = kind == "exception.raised" and owner is None and may_all_live(evidence)
            yield msgspec.structs.replace(fact, open=may_be_outlived)


def deadlocked(evidence: Evidence) -> int | None:
    """The rank whose exception Lightning found the others not to share; it calls that a deadlock."""
    told = (DEADLOCK.search(str(e.data.get("message"))) for e in evidence.of("exception.raised"))
    ranks = {int(found[1]) for found in told if found}
    return ranks.pop() if len(ranks) == 1 else None


def failures(best: dict[tuple[str, int], list[Event]], evidence: Evidence) -> list[tuple[int, float]]:
    """Each rank that failed for a reason of its own, and when; who lost a peer did not."""
    raised = [
        (rank, e.time) for (kind, rank), found in best.items() if kind == "exception.raised" for e in found
    ]
    victims = {rank for kind, rank in best if kind != "exception.raised"}
    own = [end for end in ended(evidence).values() if end.rank not in victims and not end.by_us]
    ends = [(end.rank, end.time) for end in own if end.code or end.sig not in (None, *ASKED)]
    return [(rank, time) for rank, time in [*raised, *ends] if time is not None]


def statement(kind: str, rank: int | None, found: list[Event], since: float | None, is_first: bool) -> Fact:
    """One statement on all that a rank said of this kind, the best of it first."""
    first = found[0]
    frames = first.data.get("frames")
    frame = str(frames[-1]) if isinstance(frames, list) and frames else ""
    name, message = str(first.data.get("type", "")), str(first.data.get("message", "")).split("\n")[0][:200]
    who = "a rank" if rank is None else named([rank])
    text = f"{who} {WORDS[kind]}" if kind in WORDS else f"{who} raised {name}: {message}"
    if frame and kind not in WORDS:
        text += f" ({frame})"
    return Fact(
        kind=kind,
        text=text,
        ranks=[] if rank is None else [rank],
        data={"type": name, "message": message, "frame": frame, "first": is_first},
        since=since,
        events=found[:4],
        inferred=kind == "exception.raised"
        and all(e.source in LOGS and not e.data.get("frames") for e in found),
    )

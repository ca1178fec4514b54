"""Exceptions, parted into primary ones and those that only report what happened elsewhere."""

from collections.abc import Iterable

from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.raisings import is_end, kinds, parted

NEEDS = ("rank_hook", "elastic_error", "rank_log", "launcher_log")
KINDS = {
    "exception.raised": FactKind("a rank raised, for a reason of its own; data: type, message, frame", NEEDS),
    "collective.timed_out": FactKind("a rank reports that its collective timed out", NEEDS),
    "peer.connection_lost": FactKind("a rank reports that a peer's connection is gone", NEEDS),
}
KIND_OF_LINE = {
    "gloo.timed_out": "collective.timed_out",
    "nccl.watchdog_timed_out": "collective.timed_out",
    "gloo.connection_closed": "peer.connection_lost",
    "gloo.connection_reset": "peer.connection_lost",
}
WORDS = {
    "collective.timed_out": "reports that its collective timed out",
    "peer.connection_lost": "reports a lost connection to a peer",
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
    for (kind, rank), found in sorted(best.items()):
        found.sort(key=lambda e: (not is_end(e), not e.data.get("frames"), e.time is None, e.time or 0.0))
        yield statement(kind, rank, found)


def statement(kind: str, rank: int, found: list[Event]) -> Fact:
    """One statement on all that a rank said of this kind, the best of it first."""
    first = found[0]
    frames = first.data.get("frames")
    frame = str(frames[-1]) if isinstance(frames, list) and frames else ""
    name, message = str(first.data.get("type", "")), str(first.data.get("message", "")).split("\n")[0][:200]
    text = f"{named([rank])} {WORDS[kind]}" if kind in WORDS else f"{named([rank])} raised {name}: {message}"
    if frame and kind not in WORDS:
        text += f" ({frame})"
    return Fact(
        kind=kind,
        text=text,
        ranks=[rank],
        data={"type": name, "message": message, "frame": frame},
        since=min((e.time for e in found if e.time is not None), default=None),
        events=found[:4],
    )

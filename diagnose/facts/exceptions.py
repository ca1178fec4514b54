"""Exceptions, parted into primary ones and those that only report what happened elsewhere."""

import re
from collections.abc import Iterable

from diagnose.model import Event, Evidence, Fact, FactKind, named

NEEDS = ("rank_hook", "elastic_error", "rank_log", "launcher_log")
KINDS = {
    "exception.raised": FactKind("a rank raised, for a reason of its own; data: type, message, frame", NEEDS),
    "collective.timed_out": FactKind("a rank reports that its collective timed out", NEEDS),
    "peer.connection_lost": FactKind("a rank reports that a peer's connection is gone", NEEDS),
    "collective.refused": FactKind("a rank reports that the ranks' calls differ", NEEDS),
}
TIMED_OUT = re.compile(
    r"[Tt]imed out waiting|[Tt]imeout at NCCL|collective operation timeout|Timed out initializing|"
    r"failed to pass monitoredBarrier"
)
LOST = re.compile(
    r"Connection closed by peer|Connection reset by peer|Broken pipe|Socket closed|recvValue failed|"
    r"NCCL communicator was aborted|remote process exited|connection was likely closed|"
    r"failed to recv, got 0 bytes|successfully reached monitoredBarrier",
    re.IGNORECASE,
)
DIFFERS = "Detected mismatch between collectives"
STOPS = {"KeyboardInterrupt", "SignalException", "SystemExit", "GeneratorExit"}
KIND_OF_LINE = {
    "gloo.timed_out": "collective.timed_out",
    "nccl.watchdog_timed_out": "collective.timed_out",
    "gloo.connection_closed": "peer.connection_lost",
    "gloo.connection_reset": "peer.connection_lost",
}
WORDS = {
    "collective.timed_out": "reports that its collective timed out",
    "peer.connection_lost": "reports a lost connection to a peer",
    "collective.refused": "reports that the ranks' calls differ",
}


def kind_of(event: Event) -> str | None:
    """The fact an event amounts to; None for a stop that somebody asked for."""
    if event.kind != "exception.raised":
        return KIND_OF_LINE[event.kind]
    name, message = str(event.data.get("type", "")), str(event.data.get("message", ""))
    if name.rpartition(".")[2] in STOPS:
        return None
    if TIMED_OUT.search(message):
        return "collective.timed_out"
    if DIFFERS in message:
        return "collective.refused"
    return "peer.connection_lost" if LOST.search(message) else "exception.raised"


def derive(evidence: Evidence) -> Iterable[Fact]:
    survived = {e.rank for e in evidence.of("rank.died") if e.data.get("exit_code") == 0}
    best: dict[tuple[str, int], list[Event]] = {}
    for event in evidence.of("exception.raised", *KIND_OF_LINE):
        kind = kind_of(event)
        if event.rank is None or kind is None:
            continue
        if kind == "exception.raised" and event.rank in survived:
            continue  # logged and handled: the process ended well
        best.setdefault((kind, event.rank), []).append(event)
    for (kind, rank), found in sorted(best.items()):
        found.sort(key=lambda e: (not e.data.get("frames"), e.time is None, e.time or 0.0))
        first = found[0]
        frames = first.data.get("frames")
        frame = str(frames[-1]) if isinstance(frames, list) and frames else ""
        name, message = (
            str(first.data.get("type", "")),
            str(first.data.get("message", "")).split("\n")[0][:200],
        )
        text = (
            f"{named([rank])} {WORDS[kind]}" if kind in WORDS else f"{named([rank])} raised {name}: {message}"
        )
        if frame and kind not in WORDS:
            text += f" ({frame})"
        yield Fact(
            kind=kind,
            text=text,
            ranks=[rank],
            data={"type": name, "message": message, "frame": frame},
            since=min((e.time for e in found if e.time is not None), default=None),
            events=found[:4],
        )

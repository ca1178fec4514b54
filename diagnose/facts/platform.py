"""What a platform did to the job: took its machines, ended it by its limits, never gave it any.

A pod that waited for a node and then got one was late, not unscheduled. A wait for an image
ends when it starts.
"""

from collections.abc import Iterable

from diagnose.containers import is_unexplained, never_began, vanished
from diagnose.model import Event, Evidence, Fact, FactKind
from diagnose.time_limits import arithmetic, is_silent

KINDS = {
    "platform.ended": FactKind(
        "the platform ended the job, or never began it; data: how (preempted, evicted, timed_out, "
        "heartbeat_lost, node_lost, cancelled, unscheduled, init_failed), by, resource, in_hang (its limit "
        "came in a stall that had been called)",
        ("platform_log",),
    ),
}
WORDS = {
    "platform.preempted": ("preempted", "the platform took the machine back"),
    "platform.evicted": ("evicted", "the platform evicted it"),
    "platform.timed_out": ("timed_out", "the platform's time limit ended it"),
    "platform.heartbeat_lost": ("heartbeat_lost", "the platform ended a container that did not answer"),
    "platform.node_lost": ("node_lost", "the node went away"),
    "platform.cancelled": ("cancelled", "somebody had the platform end it"),
    "platform.unscheduled": ("unscheduled", "no node had what it asks for"),
    "platform.init_failed": ("init_failed", "the container could not be made or started"),
}
MAY_BE = ("preempted", "evicted", "heartbeat_lost", "node_lost")
BEFORE_START = {"unscheduled", "init_failed"}


def derive(evidence: Evidence) -> Iterable[Fact]:
    found: dict[str, list[Event]] = {}
    for event in evidence.of(*WORDS):
        found.setdefault(event.kind, []).append(event)
    started = has_started(evidence)
    for kind, events in found.items():
        how, words = WORDS[kind]
        if how == "unscheduled" and any(evidence.of("platform.scheduled")):
            continue
        if how in BEFORE_START and started:
            continue
        first = events[0]
        resource = next((r for e in events if (r := e.data.get("resource"))), None)
        more = arithmetic(first, evidence) if how == "timed_out" else ""
        text = f"{words}: {first.data.get('text', '')}"[:300]
        yield Fact(
            kind="platform.ended",
            text=f"{text}; {more}" if more else text,
            nodes=sorted({str(node) for e in events if (node := e.data.get("node"))}),
            data={
                "how": how,
                "by": first.data.get("by"),
                "resource": resource,
                "in_hang": how == "timed_out" and is_silent(evidence, first.time),
            },
            since=first.time,
            events=events[:3],
            inferred=all(e.data.get("sign") for e in events),  # what was seen has other reasons too
        )
    yield from untold(evidence)
    if not found and never_began(evidence):
        yield from (maybe(how, "no container left a word") for how in sorted(BEFORE_START))


def untold(evidence: Evidence) -> Iterable[Fact]:
    """What may have ended a container that went without a word: only the platform's own log can tell."""
    gone = vanished(evidence)
    if gone is None or not is_unexplained(evidence):
        return
    yield from (maybe(how, "it went without a word") for how in MAY_BE)


def maybe(how: str, seen: str) -> Fact:
    """What only a platform's own log can tell."""
    return Fact(
        kind="platform.ended",
        text=f"{seen}: {WORDS[f'platform.{how}'][1]}, or something else did it",
        data={"how": how, "by": None, "resource": None, "in_hang": False},
        open=True,
    )


def has_started(evidence: Evidence) -> bool:
    """Whether any rank left a sign of its own."""
    return any(event.rank is not None for event in evidence.events)

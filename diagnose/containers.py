"""A platform's container by its own words: what it was given, its last word, whether it told an end. Pure."""

from collections.abc import Iterable

import msgspec

from diagnose.model import Event, Evidence, Record, number

ENDS = ("container.ended", "container.interrupted", "command.ended")
OTHERS = {"platform_log", "manifest", "bundle"}  # who speaks of it from outside
OVER = {"error", "lost", "ok"}
# Who tells of a run, or of what was started in it.
OF_A_RUN = (
    "container",
    "run",
    "agent",
    "launcher_log",
    "rank_log",
    "rank_hook",
    "stack_dump",
    "flight_recorder",
)
# What a platform says of an end; the last says no more than that there was one.
SAID = ("preempted", "evicted", "timed_out", "heartbeat_lost", "node_lost", "cancelled", "init_failed")
TOLD = (*(f"platform.{how}" for how in SAID), "platform.oom_told", "platform.call_ended")


class Vanished(Record, frozen=True):
    """A container that told no end: its first and its last word, and what shows that it is over."""

    started: Event
    last: Event
    over: list[Event]
    node: str | None = None  # in a cluster: whose

    def own(self, events: Iterable[Event]) -> list[Event]:
        """Those of this container."""
        return [event for event in events if self.node in (None, event.node)]

    @property
    def push_s(self) -> float:
        """How long what it had to say could wait in it."""
        return number(self.started.data.get("push_s")) or 0.0

    @property
    def limit(self) -> int | None:
        """The memory it was given, in bytes; None where no limit was asked for."""
        mib = number(self.started.data.get("memory_mib"))
        return int(mib) << 20 if mib else None


def vanished(evidence: Evidence) -> Vanished | None:
    """The container of this attempt, where it is over and said nothing of it; None elsewhere.

    In a cluster one of them, though others told their ends.
    """
    began, ends = list(evidence.of("container.started")), list(evidence.of(*ENDS))
    nodes = {event.node for event in ends}
    mute = [e for e in began if e.node not in nodes] if len(began) > 1 else [] if ends else began
    started = next(iter(mute), None)
    if started is None:
        return None
    followed = list(evidence.of("attempt.followed"))
    told = [e for e in evidence.of(*TOLD) if not is_before(e, started)]
    states = list(evidence.of("run.state_changed"))[-1:]
    over = [*followed, *told, *(e for e in states if e.data.get("state") in OVER)]
    if not over:
        return None
    gone = Vanished(started, started, over, started.node if len(began) > 1 else None)
    last = max(gone.own(words(evidence)), key=lambda e: e.time or 0.0)
    return msgspec.structs.replace(gone, last=last)


def words(evidence: Evidence) -> list[Event]:
    """What was heard from inside of containers."""
    return [
        e
        for e in evidence.events
        if e.time is not None and e.source not in OTHERS and e.kind != "attempt.followed"
    ]


def is_before(event: Event, other: Event) -> bool:
    return event.time is not None and other.time is not None and event.time < other.time


def is_unexplained(evidence: Evidence) -> bool:
    """Whether nobody says why a container vanished: no platform, and no failure that it told of before."""
    told = any(evidence.of(*(kind for kind in TOLD if kind != "platform.call_ended")))
    failed = any(e.data.get("exit_code") or e.data.get("signal") for e in evidence.of("rank.died"))
    return not told and not failed and not any(evidence.of("exception.raised"))


def never_began(evidence: Evidence) -> list[Event]:
    """The states of a run that a platform had, that is over, and of which no container left a word."""
    states = list(evidence.of("run.state_changed"))
    names = [event.data.get("state") for event in states]
    is_over = "detached" in names and names[-1] in OVER
    heard = any(evidence.of("container.started")) or any(event.rank is not None for event in evidence.events)
    return states[-1:] if is_over and not heard else []

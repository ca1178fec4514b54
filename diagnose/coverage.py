"""Events in, Evidence out: which ranks each source covers. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from diagnose.model import Coverage, Event, Evidence
from diagnose.resuming import last_resumed

CLAIMS = {"rank.claimed", "rank.found"}
EVERY_RANK = {"rank_hook", "rank_log", "stack_dump", "flight_recorder"}  # what each rank should leave
AT_THE_END = {"command.ended", "command.stopped", "signal.received", "launcher.interrupted", "strays.ended"}
TAKEN = {"stack_dump", "flight_recorder"}  # what a look takes: it shows the moment of the look alone
REFUSALS = {"stack_dump": "stack.refused", "flight_recorder": "flight.refused"}
GONE = "process has gone"  # the agent's word; what else refused a process that ended meanwhile is noise
MAX_REASON = 120  # characters of one of several reasons
JOB_WIDE = {"run", "bundle", "container"}  # writers whose events belong to every attempt
PLATFORMS = {"platform_log"}  # what they say is of the container that ran then


def attempt_of(where: str) -> str:
    """The attempt a place belongs to; empty in foreign bundles.

    >>> attempt_of("attempts/2/events/agent-000001.jsonl:7")
    '2'
    """
    parts = where.replace("!", "/").split("/")
    return next((parts[i + 1] for i, p in enumerate(parts[:-2]) if p == "attempts"), "")


def age(attempt: str) -> tuple[int, str]:
    """Sorts attempts oldest first: counters by value, the ids of a platform as they are, restarts behind.

    >>> sorted(["10", "9", "1"], key=age), sorted(["ta-02", "ta-01-2", "ta-01"], key=age)
    (['1', '9', '10'], ['ta-01', 'ta-01-2', 'ta-02'])
    """
    return (len(attempt) if attempt.isdigit() else 0, attempt)


def by_attempt(events: Sequence[Event], named: Callable[[str], str] = str) -> dict[str, list[Event]]:
    """Events parted by attempt, oldest first; what is of the whole run is in each, its end in the last.

    `named` tells what an attempt is called: the containers of a cluster are one.

    Containers that ran one input one after the other are runs of their own: what one of them told of its run
    is in its attempts alone, a platform's words are in those of the container that ran then, and one that was
    followed by another is told so (`attempt.followed`).
    """

    def of(event: Event) -> str:
        return named(attempt_of(event.where))

    names = {of(e) for e in events if e.source not in JOB_WIDE} - {""}
    begun = beginnings(events, of)
    homes = {name: home(name, begun) for name in names | begun.keys()}
    turns = list(begun)
    ordered = sorted(homes, key=lambda name: (turns.index(homes[name]) if homes[name] else -1, age(name)))
    parts: dict[str, list[Event]] = {name: [] for name in ordered or [""]}
    ends = {homes.get(name, ""): name for name in parts}  # container -> its last attempt
    last = list(parts)[-1]
    for event in events:
        own = of(event)
        if own in parts:
            all_of = [name for name in parts if homes.get(name, "") == homes.get(own, "")]
            mine = all_of if event.source in JOB_WIDE else [own]
            end = ends[homes.get(own, "")]
            if event.source in PLATFORMS and own in begun:
                mine = [end]  # what a container was told of its end
        elif begun and event.source in PLATFORMS:
            end = ends[then(event.time, begun)]
            mine = [end]
        else:
            mine, end = list(parts), last
        for name in [end] if event.kind in AT_THE_END else mine:
            parts[name].append(event)
    for before, after in pairwise(begun.values()):
        if follows(before, after):
            data: dict[str, object] = {"attempt": of(after)}
            told = Event("attempt.followed", "container", after.where, after.time, after.node, data=data)
            parts[ends[of(before)]].append(told)
    return parts


def beginnings(events: Sequence[Event], of: Callable[[Event], str]) -> dict[str, Event]:
    """Container, or cluster -> its first word, oldest first; empty where no platform's containers tell.

    Each has a command of its own; a launcher's restarts, which a counter numbers, have one among them.
    """
    found: dict[str, Event] = {}
    for kind in ("container.started", "command.started"):
        for event in events:
            name = of(event)
            if event.kind == kind and name and not name.isdigit():
                found.setdefault(name, event)
    return dict(sorted(found.items(), key=lambda item: (item[1].time or 0.0, age(item[0]))))


def home(attempt: str, begun: Mapping[str, Event]) -> str:
    """The container of an attempt: a launcher's restart has a number behind the container's name.

    >>> home("ta-1-2", {"ta-1": Event("container.started", "container", "")})
    'ta-1'
    """
    return max((name for name in begun if f"{attempt}-".startswith(f"{name}-")), key=len, default="")


def then(time: float | None, begun: Mapping[str, Event]) -> str:
    """The container that ran at a time: the newest where that is not known, the first before all of them."""
    past = [name for name, event in begun.items() if time is None or (event.time or 0.0) <= time]
    return past[-1] if past else next(iter(begun))


def follows(before: Event, after: Event) -> bool:
    """Whether the second container runs the same input again, as far as they say."""
    given = [event.data.get("input_id") for event in (before, after)]
    return given[0] == given[1] or not all(given)


def gather(events: Sequence[Event]) -> Evidence:
    """The ledger. A rank that a per-rank source lacks is missing there, with a reason where one is known."""
    claimed = [e for e in events if e.kind in CLAIMS and e.rank is not None]
    firm = [e for e in claimed if not e.data.get("provisional")]
    tellers = firm or claimed or [e for e in events if e.kind == "flight.read"]
    sizes = [n for e in tellers if isinstance(n := e.data.get("world_size"), int) and n > 0]
    known = {e.rank for e in events if e.rank is not None}
    if firm:  # a launcher's provisional rank 0 is no rank once real ones exist
        known = {
            r
            for r in known
            if r in {e.rank for e in firm} or any(e.rank == r for e in events if e not in claimed)
        }
    told = max(sizes, key=lambda size: (sizes.count(size), size)) if sizes else None  # by most of them
    num_ranks = told or (max(known) + 1 if known else None)
    lacking = unavailable(events)
    read = frozenset(e.source for e in events if covers(e)) - lacking.keys()
    asked = {source for source, kind in REFUSALS.items() if any(e.kind == kind for e in events)}
    ranks = sorted(known)
    said = sorted((e for e in events if e.rank is not None and e.node), key=sureness)
    nodes = {e.rank: e.node for e in said if e.rank is not None and e.node}  # its own word counts last
    expected = sorted({*ranks, *range(num_ranks or 0)}) if (num_ranks or 0) <= 1 << 20 else ranks
    return Evidence(
        events=list(events),
        coverage={
            **{
                source: cover(source, events, expected, nodes if is_cluster(events) else {})
                for source in sorted((read | asked) - {"bundle"})
            },
            **{source: nowhere(reason, expected) for source, reason in sorted(lacking.items())},
        },
        read=read,
        ranks=ranks,
        num_ranks=num_ranks,
        nodes=nodes,
    )


def sureness(event: Event) -> tuple[bool, bool]:
    """How well a rank's event tells its node: before its claim is firm, a process of each node is rank 0."""
    is_firm = event.kind in CLAIMS and not event.data.get("provisional")
    return event.source == "rank_hook", is_firm


def covers(event: Event) -> bool:
    """Whether an event shows that its source was read: a line in another's file shows no more than itself."""
    return event.kind not in {"source.unreadable", "source.unavailable"} and not event.within


def unavailable(events: Sequence[Event]) -> dict[str, str]:
    """source -> why it has nothing real to read here; a log that was brought from the host is real."""
    brought = {e.source for e in events if e.kind == "kernel.read"}
    told = {e.source: str(e.data.get("reason", "")) for e in events if e.kind == "source.unavailable"}
    fiction = {e.source: str(e.data.get("reason", "")) for e in events if is_fiction(e)}
    return {source: why for source, why in (fiction | told).items() if source not in brought}


def is_fiction(event: Event) -> bool:
    """Whether a file was read, and is a sandbox's own text."""
    return event.kind == "source.unreadable" and event.data.get("sandbox") is True


def nowhere(reason: str, expected: Sequence[int]) -> Coverage:
    return Coverage(refused=list(expected), reason={str(rank): reason for rank in expected})


def is_cluster(events: Sequence[Event]) -> bool:
    """Whether the job ran on several nodes, each with an agent and a launcher of its own."""
    sizes = (e.data.get("num_nodes") for e in events if e.kind in ("container.started", "command.started"))
    return any(isinstance(size, int) and size > 1 for size in sizes)


def cover(
    source: str, events: Sequence[Event], expected: Sequence[int], nodes: Mapping[int, str]
) -> Coverage:
    """`nodes`, in a cluster: there a source that speaks for all speaks for the ranks of its node."""
    mine = [e for e in events if e.source == source and covers(e)]
    homes = {e.node for e in mine if e.rank is None}
    if homes and (None in homes or not nodes):
        return Coverage(present=list(expected))
    if homes:
        return Coverage(present=[rank for rank in expected if nodes.get(rank) in homes])
    old = outdated(source, mine, events)
    present = sorted({e.rank for e in mine if e.rank is not None} - old.keys())
    reasons = refusals(source, events)
    gone = {e.rank for e in events if e.kind == "rank.died"}
    without = [r for r in expected if r not in present and r not in reasons and r not in old]
    missing = without if source in EVERY_RANK else []
    far = unasked(events)
    reason = {str(r): "the process had died" if r in gone else far.get(r, "left none") for r in missing}
    refused = [r for r in reasons if r not in present]
    stale = sorted(old.keys() - reasons.keys())
    return Coverage(
        present=present,
        missing=missing,
        stale=stale,
        refused=sorted(refused),
        reason=reason | {str(r): old[r] for r in stale} | {str(r): reasons[r] for r in refused},
    )


def outdated(source: str, mine: Sequence[Event], events: Sequence[Event]) -> dict[int, str]:
    """rank -> why what it left says nothing about the open stall: all of it was taken before."""
    moved = last_resumed(events)
    stalls = [t for e in events if e.kind == "job.stalled" and (t := e.time) is not None and t > moved]
    if not stalls or source not in TAKEN:
        return {}
    begun = int(min(stalls))  # looks are named by whole seconds
    last: dict[int, float] = {}
    for event in mine:
        if event.rank is not None:
            at = event.time if event.time is not None else math.inf
            last[event.rank] = max(last.get(event.rank, 0.0), at)
    return {rank: f"taken {begun - at:.0f} s before the stall" for rank, at in last.items() if at < begun}


def unasked(events: Sequence[Event]) -> dict[int, str]:
    """rank -> why a visit did not look at it: it has no process, runs elsewhere, was not asked for."""
    return {
        rank: str(e.data.get("reason", ""))
        for e in events
        if e.kind in {"ranks.missing", "ranks.elsewhere"} and isinstance(ranks := e.data.get("ranks"), list)
        for rank in ranks
        if isinstance(rank, int)
    }


def refusals(source: str, events: Sequence[Event]) -> dict[int, str]:
    """rank -> why it gave no such evidence, from the agent's own words or from unreadable files."""
    found: dict[int, list[str]] = {}
    for e in events:
        is_told = e.kind == REFUSALS.get(source) or (e.kind == "source.unreadable" and e.source == source)
        if e.rank is not None and is_told and (reason := str(e.data.get("reason", ""))):
            found.setdefault(e.rank, []).append(reason[:MAX_REASON])
    return {
        rank: GONE if GONE in reasons else "; ".join(dict.fromkeys(reasons))
        for rank, reasons in found.items()
    }

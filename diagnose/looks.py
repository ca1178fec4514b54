"""Looks: the moments at which evidence of all ranks was taken, two scans each. Pure.

A look is what the agent took at once: flight recorder dumps, stacks and process states of all ranks, twice,
so that what is equal in both scans held at one moment (a consistent cut). Foreign evidence has no agent: all
its dumps and stacks then form one look.
"""

from collections.abc import Iterable
from functools import cached_property

import msgspec

from diagnose.model import Event, Evidence, Record
from diagnose.moments import begin, moments
from diagnose.resuming import resumed

STATES = (
    "flight.group_read",
    "flight.read",
    "stack.read",
    "stack.placed",
    "proc.dumped",
    "connections.read",
    "worker.stack_read",
    "worker.dumped",
    "interpreter.asked",
)
RAISED = "raised"  # the folder of what ranks leave that an exception ends
WATCHDOG = "watchdog"  # the folder of what NCCL's watchdog writes as a collective times out
STALLS = ("stalled", "asked", "expiring", "foreign")
DECISIVE = (
    "stalled",
    "asked",
    "expiring",
    "watchdog",
    "raised",
    "died",
    "ended",
)  # a scheduled dump alone proves no wait


class Look(Record, frozen=True, dict=True):
    """One look: `scans` holds its events, a list for each scan in order of time."""

    cause: str  # one of DECISIVE, or schedule | crashed | left | foreign
    time: float | None
    scans: list[list[Event]]
    resolved_after_s: float | None = None  # the job went on, or ended well, so long after the look

    def last(self, *kinds: str) -> dict[int, Event]:
        """The newest event of these kinds of each rank."""
        return {e.rank: e for scan in self.scans for e in scan if e.kind in kinds and e.rank is not None}

    def each(self, rank: int, *kinds: str) -> list[Event]:
        """A rank's events of these kinds, one or more a scan, in order."""
        return [e for e in self.by_rank.get(rank, ()) if e.kind in kinds]

    @cached_property
    def by_rank(self) -> dict[int | None, list[Event]]:
        """All events of each rank, in order."""
        found: dict[int | None, list[Event]] = {}
        for event in (e for scan in self.scans for e in scan):
            found.setdefault(event.rank, []).append(event)
        return found


def folder(event: Event) -> str:
    """The scan's folder an event belongs to: `.../flight/<folder>/rank-00003.json`, or its own word."""
    own = event.data.get("dir")
    parts = event.where.split("/")
    return own if isinstance(own, str) else parts[-2] if len(parts) > 1 else ""


def looks(evidence: Evidence) -> list[Look]:
    """All looks, oldest first."""
    states = list(evidence.of(*STATES))
    taken = list(evidence.of("evidence.taken"))
    well = [e for e in resumed(evidence.events, "command.ended") if e.data.get("exit_code") == 0]
    if not taken:
        over = 0.0 if well else None
        foreign = Look(cause="foreign", time=None, scans=scans_of(states), resolved_after_s=over)
        return [foreign] if states else []
    ended = sorted(e.time for e in well if e.time is not None)
    progressed = resumed(evidence.events)
    moved = sorted([*ended, *(e.time for e in progressed if e.time is not None)])
    found = []
    together = moments(taken, progressed)
    for event, *others in together:
        scans = scans_at([event, *others], states)
        begun = begin(event)
        # What is noticed to have moved after a rank has crashed moved before that.
        cause = event.data.get("cause")
        goes_on = ended if cause == "crashed" else moved
        if cause in ("stalled", "expiring"):  # then samples had the time to say how far each rank was
            goes_on = sorted([*moved, *stepped(evidence, begun, event.time)])
        after = next((t for t in goes_on if begun is not None and t >= begun), None)
        found.append(
            Look(
                cause=str(event.data.get("cause", "")),
                time=event.time,
                scans=[scan for scan in scans if scan],
                resolved_after_s=None
                if after is None or event.time is None
                else max(0.0, after - event.time),
            )
        )
    begun_at = [begin(event) or 0.0 for event, *_ in together]
    later = [[other for other, at in zip(found, begun_at, strict=True) if at > mine] for mine in begun_at]
    return [
        *by_watchdog(states, bool(well)),
        *(overtaken(look, after) for look, after in zip(found, later, strict=True)),
    ]


def scans_at(taken: list[Event], states: list[Event]) -> list[list[Event]]:
    """The scans of one moment, those of several nodes in one: a folder's name is of its node alone."""
    scans: dict[int, list[Event]] = {}
    for event in taken:
        told = event.data.get("time_dirs")
        for number, name in enumerate(told if isinstance(told, list) else []):
            own = [s for s in states if folder(s) == str(name) and (len(taken) == 1 or s.node == event.node)]
            scans.setdefault(number, []).extend(own)
    return [scans[number] for number in sorted(scans)]


def by_watchdog(states: Iterable[Event], is_well: bool) -> Iterable[Look]:
    """What NCCL's watchdog left as a collective timed out: each rank's last moment of the hang."""
    own = [event for event in states if folder(event) == WATCHDOG]
    if own:
        yield Look(cause=WATCHDOG, time=None, scans=[own], resolved_after_s=0.0 if is_well else None)


def left(evidence: Evidence) -> Look | None:
    """The dumps that ranks left themselves as an exception ended them, if any did.

    Of a rank without one it holds what the look at the first crash shows: together they miss the fewest.
    """
    own = [e for e in evidence.of(*STATES) if folder(e) == RAISED]
    if not own or not any(evidence.of("evidence.taken")):  # else they are in the one look there is
        return None
    ranks = {event.rank for event in own}
    crash = next((look for look in looks(evidence) if look.cause == "crashed"), None)
    scans = [[e for e in scan if e.rank not in ranks] for scan in crash.scans] if crash else []
    told = [e.time for e in evidence.of("flight.dumped") if folder(e) == RAISED and e.time is not None]
    well = [e for e in evidence.of("command.ended") if e.data.get("exit_code") == 0]
    return Look(
        cause="left",
        time=max(told, default=None),
        scans=[scan for scan in [*scans, own] if scan],
        resolved_after_s=0.0 if well else None,
    )


def stepped(evidence: Evidence, begun: float | None, until: float | None) -> Iterable[float]:
    """Deaths of ranks that had trained on since a look: no later sample had the time to say that they did.

    Only samples taken during the look count: an earlier one may be many steps old.
    """
    if begun is None or until is None:
        return
    before: dict[int | None, int] = {}
    for event in evidence.of("rank.sampled"):
        n, time = event.data.get("num_steps"), event.time
        if isinstance(n, int) and time is not None and begun <= time <= until:
            before[event.rank] = max(n, before.get(event.rank, 0))
    for event in resumed(evidence.events, "rank.died") if before else ():
        if isinstance(n := event.data.get("num_steps"), int) and n > before.get(event.rank, n):
            yield event.time or 0.0


def overtaken(look: Look, later: list[Look]) -> Look:
    """The look, resolved where a later one shows that its waits came to an end and the job went on."""
    if look.resolved_after_s is not None or look.time is None:
        return look
    before = frontiers(look)
    pending = {
        group: min(done + 1 for launched, done in mine.values() if launched > done)
        for group, mine in before.items()
        if any(launched > done for launched, done in mine.values())
    }
    for other in later if pending else ():
        after = {group: {r: n for r, (n, _) in mine.items()} for group, mine in frontiers(other).items()}
        if other.time is not None and all(is_past(seq, after.get(group)) for group, seq in pending.items()):
            return msgspec.structs.replace(look, resolved_after_s=max(0.0, other.time - look.time))
    return look


def is_past(seq: int, launched: dict[int, int] | None) -> bool:
    """Whether every rank has launched a later collective: gloo calls done what failed, but launches tell."""
    return bool(launched) and all(n > seq for n in (launched or {}).values())


def frontiers(look: Look) -> dict[str, dict[int, tuple[int, int]]]:
    """group -> rank -> the last collective that it launched, and the last up to which all were done."""
    found: dict[str, dict[int, tuple[int, int]]] = {}
    for event in (e for scan in look.scans for e in scan if e.kind == "flight.group_read"):
        launched, done = event.data.get("launched"), event.data.get("completed")
        if event.rank is not None and isinstance(launched, int) and isinstance(done, int):
            found.setdefault(str(event.data.get("group")), {})[event.rank] = (launched, done)
    return found


def scans_of(states: Iterable[Event]) -> list[list[Event]]:
    """Foreign evidence by folder: the last two timed folders are two scans, whatever else there is is one."""
    parts: dict[str, list[Event]] = {}
    for event in states:
        name = folder(event)
        parts.setdefault(name if name.isdigit() else "", []).append(event)
    timed = sorted(name for name in parts if name)
    return [parts[name] for name in timed[-2:]] if timed else list(parts.values())


def decisive(evidence: Evidence) -> Look | None:
    """The look that shows the fault best.

    The last one before the first failure (afterwards ranks are missing because they were ended, and waits are
    over because they timed out), else the first one after it; looks at a stall before looks at a failure,
    and a look after which the job went on only where there is no other.
    """
    found = [look for look in looks(evidence) if look.cause in (*DECISIVE, "foreign") and look.scans]
    found = [look for look in found if look.resolved_after_s is None] or found
    ends = evidence.of("rank.died", "exception.raised", "command.stopped")  # the last: by us, at a stall
    first = min((e.time for e in ends if e.time is not None), default=None)
    before = [k for k in found if first is None or k.time is None or k.time <= first]
    stalls = [k for k in before if k.cause in STALLS]
    if stalls:
        return stalls[-1]
    return before[-1] if before else found[0] if found else None


def steps_made(evidence: Evidence) -> dict[int, int]:
    """The newest count of training steps of each rank that counts any."""
    told = [(e.rank, e.data.get("num_steps")) for e in evidence.of("rank.sampled")]
    return {rank: num for rank, num in told if rank is not None and isinstance(num, int)}

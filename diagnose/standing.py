"""Who waits and who does not, by stacks and process states alone, where no recorder gave a dump. Pure.

Every rank stands somewhere. One that stands still in a collective waits. While some wait and nothing they
wait in ends, those that stand elsewhere are awaited. All of it is inferred: a finding that rests on it is
likely at most, and a job in which a waiting rank has moved between two scans accuses nobody.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from diagnose.activity import SEEN_BARE, may_be_work, of_rank, of_workers
from diagnose.communicators import groups
from diagnose.looks import Look
from diagnose.losses import is_timeout
from diagnose.model import Event, Evidence, Record
from diagnose.rendezvous import INIT
from diagnose.stackframes import by_stack, frames, own_frame, split
from diagnose.waitgraph import stuck
from diagnose.waiting import Group, Member, Waiting, ranks

CAUSES = (
    "stalled",
    "asked",
    "expiring",
    "foreign",
)  # after a failure ranks stand where its cleaning up left them
IN_BACKWARD = "_engine_run_backward"  # DDP waits in here, and no frame says so
NATIVE = ("c10d::Work::wait", "c10d::Reducer::finalize_backward", "c10d::ProcessGroup", "gloo::transport")
TOGETHER = ("all_", "_all_", "reduce_scatter", "_reduce_scatter", "barrier", "monitored_barrier", "backward")
PAIRED = ("send", "recv", "send_object_list", "recv_object_list", "wait")  # gloo has none of these in hand
JOINING = ("init_process_group", "new_group", "split_group")
WAKES = {"sleep", "busy"}  # what goes on without anybody's help
BARRIERS = {"barrier", "monitored_barrier"}
MANY = 3  # ranks in one place, of which a single other one is the odd one out
ONE_GROUP = 2  # loop threads that gloo starts for a process group


class Standing(Record, frozen=True):
    """One rank at a look. `call`: the collective it waits in; empty where it is in none."""

    rank: int
    call: str
    site: str  # the program's own frame
    still: bool | None  # its main thread has not run between the scans; None: only one scan
    still_s: float | None  # since when, by the kernel's word
    event: Event

    @property
    def place(self) -> str:
        """`all_reduce at step (train.py:40)`."""
        return f"{self.call} at {self.site}" if self.site and self.site != self.call else self.call


def waits(look: Look | None, evidence: Evidence) -> list[Waiting]:
    """Who waits for whom: by recorder and hook, and only where those gave nothing by the stacks."""
    if look is None:
        return []
    found = stuck(look, evidence)
    return found if found or look.last("flight.read", "flight.group_read") else inferred(look, evidence)


def inferred(look: Look, evidence: Evidence) -> list[Waiting]:
    """Ranks that stand still in a collective, and those that are not in it; without these, one for each call.

    Nobody is awaited where all that were seen wait in one call: the others may be on another host.
    """
    stands = standing(look, evidence) if look.cause in CAUSES else []
    callers = [one for one in stands if one.call]
    if any(one.still is False for one in callers):
        return []
    outside = [one for one in stands if not one.call]
    if any(one.call in PAIRED for one in callers):
        outside = [one for one in outside if not is_in_doubt(one.rank, look)]
    if not callers:
        callers, outside = crowd(stands, look, evidence)
    if not callers:
        return []
    absent = [Member(rank, -1, -1, event=event) for rank, event in missing(evidence).items()]
    if not outside and not absent:
        callers, outside = apart(callers, evidence)
    awaited = [*absent, *(Member(one.rank, 0, 0, event=one.event) for one in outside)]
    if awaited:
        return [waiting_in(callers, awaited)]
    calls = dict.fromkeys(one.call for one in callers)
    return [waiting_in([one for one in callers if one.call == call], []) for call in calls]


def waiting_in(callers: Sequence[Standing], awaited: list[Member]) -> Waiting:
    """Callers in one wait, told by the call that most of them are in."""
    waiting = [Member(one.rank, 1, 0, event=one.event) for one in callers]
    call, site = Counter((one.call, one.site) for one in callers).most_common(1)[0][0]
    return Waiting(
        group=Group(name="", desc="", members=sorted([*waiting, *awaited], key=lambda m: m.rank)),
        seq=0,
        waiting=waiting,
        awaited=sorted(awaited, key=lambda m: m.rank),
        behind=[],
        call=call,
        site=site if site != call else "",
        inferred=True,
    )


def missing(evidence: Evidence) -> dict[int, Event]:
    """Ranks that should run where we looked, and have no process; with the event that says so."""
    found: dict[int, Event] = {}
    for event in evidence.of("ranks.missing"):
        told = event.data.get("ranks")
        found |= {rank: event for rank in told if isinstance(rank, int)} if isinstance(told, list) else {}
    return found


def standing(look: Look, evidence: Evidence) -> list[Standing]:
    """Every rank that was seen at a look."""
    found = []
    for rank in evidence.ranks:
        stacks, procs = look.each(rank, "stack.read"), look.each(rank, "proc.dumped")
        if not stacks:
            if procs:
                found.append(Standing(rank, "", "", is_still([], procs), None, procs[-1]))
            continue
        call = call_of(stacks[-1], procs) or ("wait" if awaits_work(rank, look) else "")
        since = procs[-1].data.get("still_s") if procs else None
        seconds = float(since) if isinstance(since, int | float) else None
        told = [] if call in JOINING else procs  # the store is asked again and again
        found.append(Standing(rank, call, own_frame(stacks[-1]), is_still(stacks, told), seconds, stacks[-1]))
    return found


def awaits_work(rank: int, look: Look) -> bool:
    """Whether a rank waits for a call that it began before: no frame shows it, its line does."""
    doing = of_rank(look, rank, False)
    return doing is not None and doing.is_ == "collective" and doing.state not in SEEN_BARE


def is_in_doubt(rank: int, look: Look) -> bool:
    """Whether a rank waits for a lock or for other ranks: nothing tells which."""
    doing = of_rank(look, rank, False)
    return doing is not None and may_be_work(look, rank, doing)


def call_of(stack: Event, procs: Sequence[Event]) -> str:
    """The collective that a rank waits in, by its frames or by what gloo has in hand; empty for none."""
    if any(p.data.get("state") in ("T", "t", "D") for p in procs):
        return ""
    settled = by_stack(stack)
    if settled and settled[0] in ("collective", "rendezvous", "device"):
        joins = next((f for f, _ in map(split, frames(stack)) if f in JOINING), "")
        return joins or split(settled[1])[0]
    if settled:
        return ""
    top = split(next(iter(frames(stack)), ""))[0]
    native = stack.data.get("native")
    if isinstance(native, list):
        return "wait" if any(str(name).startswith(NATIVE) for name in native) else ""
    in_hand = {p.data.get("gloo_open") for p in procs}
    if stack.data.get("active"):
        return ""
    if top == IN_BACKWARD and 0 not in in_hand:
        return "backward"
    return "wait" if in_hand and not in_hand & {0, None} else ""


def is_still(stacks: Sequence[Event], procs: Sequence[Event]) -> bool | None:
    """Whether the main thread stood where it was: equal frames, and the kernel never gave it the CPU."""
    if len(stacks) > 1 and frames(stacks[0]) != frames(stacks[-1]):
        return False
    told = [n for p in procs if isinstance(n := p.data.get("switches"), int)]
    if len(told) > 1:
        return told[0] == told[-1]
    return True if len(stacks) > 1 else None


def may_come(look: Look, evidence: Evidence, found: Iterable[Waiting]) -> set[int]:
    """Awaited ranks that were at work, only sleep or are not started, in a wait that is not yet a stall."""
    absent = set(missing(evidence))
    stands = {one.rank: one for one in standing(look, evidence)}
    coming: set[int] = set()
    for wait in found:
        callers = [stands[rank] for rank in ranks(wait.waiting) if rank in stands]
        if (wait.inferred or look.cause in ("asked", "expiring")) and not is_late(callers, look, evidence):
            awaited = [stands[rank] for rank in ranks(wait.awaited) if rank in stands]
            coming |= {one.rank for one in awaited if is_at_work(one, look) and not is_long(one, evidence)}
            coming |= absent & set(ranks(wait.awaited)) if wait.call == INIT else set()
    return coming


def is_at_work(one: Standing, look: Look) -> bool:
    """Whether a rank outside any collective did something between the scans, or will wake by itself."""
    activity = of_rank(look, one.rank, False)
    if activity is not None and activity.is_ == "loader":
        team = [worker for worker in of_workers(look, one.rank) if worker.in_team]
        if team:  # the rank itself only wakes every few seconds to see whether they live
            return activity.moving is True or any(worker.is_ in WAKES for worker in team)
    if one.still is False or activity is None:
        return one.still is False
    return activity.moving is True or activity.is_ in WAKES


def is_late(callers: Sequence[Standing], look: Look, evidence: Evidence) -> bool:
    """Whether the wait counts as a stall: then also a rank that is at work is to blame for it."""
    if look.cause == "stalled" or any(is_timeout(event) for event in evidence.events):
        return True
    waited = waited_s(callers, look, evidence)
    return waited is not None and waited >= limit_s(evidence)


def limit_s(evidence: Evidence) -> float:
    """The silence that counts as a stall, as whoever looked was told."""
    told = [
        s for e in evidence.of("attach.started") if isinstance(s := e.data.get("stall_after_s"), int | float)
    ]
    return min(told, default=math.inf)


def is_long(one: Standing, evidence: Evidence) -> bool:
    """Whether a rank's main thread has not run for as long as counts as a stall."""
    return one.still is True and one.still_s is not None and one.still_s >= limit_s(evidence)


def waited_s(callers: Iterable[Standing], look: Look, evidence: Evidence) -> float | None:
    """For how long the rank that waits longest has not moved; where that is not told, by the logs' age."""
    told = [one.still_s for one in callers if one.still_s is not None]
    written = [t for e in evidence.of("log.copied") if isinstance(t := e.data.get("written"), int | float)]
    ages = [look.time - t for t in written if look.time is not None]
    return max(told) if told else min(ages, default=None)


def crowd(stands: list[Standing], look: Look, evidence: Evidence) -> tuple[list[Standing], list[Standing]]:
    """Where no frame tells of a wait (a device's stream is awaited in any line that needs a result).

    Most ranks are at one line in both scans, and the others have not run once for longer than a stall.
    """
    site, votes = Counter(one.site for one in stands).most_common(1)[0] if stands else ("", 0)
    here = [one for one in stands if one.site == site]
    others = [one for one in stands if one.site != site]
    stay = all({own_frame(e) for e in look.each(one.rank, "stack.read")} == {site} for one in here)
    if not site or not stay or not others or votes * 2 <= len(stands):
        return [], []
    if not all(is_long(one, evidence) for one in others):
        return [], []
    return [msgspec.structs.replace(one, call="something") for one in here], others


def apart(callers: list[Standing], evidence: Evidence) -> tuple[list[Standing], list[Standing]]:
    """Where all wait, but not in the same call: a strict majority, and who is elsewhere.

    Only in a job with one process group: ranks of several wait in several calls without any fault. Where that
    is not told, a single rank in a barrier counts: the groups of all others must have it as a member, else
    they would be done, and a barrier is for everybody as a rule. Only in calls that nobody leaves before all
    have come: after a broadcast the sender is ahead, and rightly so.
    """
    everybody = len(callers) == len(evidence.ranks) == evidence.num_ranks
    threads = {e.data.get("gloo_threads") for e in evidence.of("proc.dumped")} - {None}
    places = Counter(one.place for one in callers)
    place, votes = places.most_common(1)[0]
    together = all(one.call.startswith(TOGETHER) for one in callers)
    others = [one for one in callers if one.place != place]
    in_barrier = not threads and [one.call in BARRIERS for one in others] == [True] and votes >= MANY
    one_group = threads == {ONE_GROUP} or in_barrier
    if not everybody or not one_group or not together or votes * 2 <= len(callers):
        return callers, []
    return [one for one in callers if one.place == place], [
        msgspec.structs.replace(one, still=True) for one in others
    ]


def is_moving(look: Look, evidence: Evidence) -> bool:
    """Whether the job went on between the scans: collectives completed. That a rank is busy is no proof."""
    if look.last("flight.read", "flight.group_read"):
        found = groups(look, evidence)
        return any(m.moved for group in found for m in group.members) and not stuck(look, evidence)
    stands = standing(look, evidence)
    turns = [turned(look.each(one.rank, "proc.dumped")) for one in stands]
    return bool(turns) and all(turns)


def turned(procs: Sequence[Event]) -> bool | None:
    """Whether gloo began or ended a collective in a rank between the scans; None where that is not told."""
    told = [n for p in procs if isinstance(n := p.data.get("gloo_turns"), int)]
    return told[0] != told[-1] if len(told) > 1 else None

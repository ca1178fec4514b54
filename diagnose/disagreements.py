"""What ranks say themselves, or others say of them, that they called: calls that do not agree. Pure.

As facts `collective.mismatched` and `collective.skipped`: no recorder is read here.
"""

from collections import Counter
from collections.abc import Iterable, Set

from diagnose import fingerprints, nccl_calls, watchdogs
from diagnose.calls import aspect
from diagnose.looks import decisive
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, earliest, named
from diagnose.raisings import OLD_CHECK
from diagnose.stall_checks import missed
from diagnose.standing import standing, waits
from diagnose.waiting import ROOTED, ranks

ANALYSED = {"COLLECTIVE_TYPE": "op", "COLLECTIVE_DTYPE": "dtype", "SIZE_OR_SYNTAX": "size"}
MISMATCHED = {  # what libraries that check calls themselves have in their errors, Horovod first
    "Mismatched data types: One rank": "dtype",
    "Mismatched collective operations: One rank": "op",
    "Mismatched MPI operations: One rank": "op",
    "tensor shapes: One rank": "size",
    "root ranks: One rank": "root",
    "disagreement between rank0 and rank": "op",  # DeepSpeed's
}
FAR = 1000  # numbers further apart are of groups that no line tells apart
ROOTED_OR_P2P = {*map(str.upper, ROOTED), "SEND", "RECV"}  # as watchdogs write them
NAMELESS = {"wait", "backward", "something"}  # calls of a stack that tell no operation


def checked(evidence: Evidence) -> Iterable[Fact]:
    """What DETAIL's check printed of each rank's call."""
    yield from by_text(*fingerprints.calls(evidence), ended_well(evidence), fingerprints.gone(evidence))


def said(evidence: Evidence) -> Iterable[Fact]:
    """The first of the texts that tells, the most exact one first."""
    well = ended_well(evidence)
    told = by_text(*watchdogs.calls(evidence), well, num=evidence.num_ranks or 1)
    told = told or by_text(*nccl_calls.calls(evidence), well)
    told = told or list(shifted(evidence, well)) or list(sized(evidence, well))
    told = told or list(desynced(evidence, well)) or list(by_stall_check(evidence, well))
    yield from told or by_stacks(evidence)


def by_text(
    seq: int,
    calls: dict[int, tuple[str, str, str]],
    events: list[Event],
    resolved: bool,
    gone: Set[int] = frozenset(),
    num: int = 0,
) -> list[Fact]:
    """What the ranks say themselves that they called; who had `gone` is odd, however few the others.

    Where fewer than half of all ranks were heard, `num` or more, nobody is named: the others may have called
    either. 0: those that are told of are all that count.
    """
    votes = Counter(calls.values())
    if len(votes) < 2:
        return []
    is_half = not num or 2 * len(calls) >= max(num, *calls)
    (usual, most), *_ = votes.most_common()
    if away := gone & calls.keys():
        usual, most = next(call for rank, call in calls.items() if rank not in away), len(calls)
    majority = 2 * most > len(calls)
    sides = {call: named([r for r, one in calls.items() if one == call]) for call in votes}
    text = ", ".join(f"{who} called {' '.join(what).strip()}" for what, who in sides.items())
    return [
        Fact(
            kind="collective.mismatched",
            text=f"at #{seq} {text}",
            ranks=sorted(r for r, call in calls.items() if is_half and (call != usual or not majority)),
            data={"aspect": aspect(map("|".join, votes)), "majority": majority, "resolved": resolved},
            since=earliest(events),
            events=events,
        )
    ]


def shifted(evidence: Evidence, resolved: bool) -> Iterable[Fact]:
    """Ranks that gave up one call under different numbers: one side made another before it.

    Where the calls differ, too, who is at the lower number may only be behind; so it is with calls that a
    root need not wait in, and where all had asked for as many. Dumps of them tell which.
    """
    group, told = watchdogs.parted(evidence)
    look = decisive(evidence)
    if look and told.keys() & look.last("flight.read").keys():
        return
    votes = Counter(report.seq for report in told.values())
    if len({report.call for report in told.values()}) != 1 or max(votes) - min(votes) > FAR:
        return
    reaches = watchdogs.reaches(evidence).get(group, {})
    asked = [reaches[rank].enqueued for rank in told if rank in reaches]
    is_level = len(asked) == len(told) and len(set(asked)) == 1
    if is_level or {report.call[0] for report in told.values()} & ROOTED_OR_P2P:
        return
    usual, most = votes.most_common(1)[0]
    majority = 2 * most > len(told)
    sides = (f"{named([r for r, o in told.items() if o.seq == seq])} at #{seq}" for seq in sorted(votes))
    yield Fact(
        kind="collective.skipped",
        text=f"the ranks wait in one call under different numbers: {', '.join(sides)}",
        ranks=sorted(rank for rank, report in told.items() if report.seq != usual or not majority),
        data={"aspect": "op", "majority": majority, "resolved": resolved},
        since=earliest(r.event for r in told.values()),
        events=[report.event for report in told.values()],
        inferred=True,
    )


def sized(evidence: Evidence, resolved: bool) -> Iterable[Fact]:
    """Who only says that calls differ, where nothing tells what the ranks called."""
    sizes = list(evidence.of("gloo.size_mismatched", "nccl.sizes_differed", "collective.sizes_differed"))
    raised = [
        (str(e.data.get("message")), e) for e in evidence.of("exception.raised", "collective.prints_told")
    ]
    checks = [e for message, e in raised if OLD_CHECK.search(message) or is_cut(message)]
    refused = [(name, e) for message, e in raised for words, name in MISMATCHED.items() if words in message]
    analysed = list(evidence.of("flight.mismatch_told"))
    text = "a message was larger than the room for it: sizes or dtypes differ between ranks"
    aspect_ = "size"
    if checks:
        text = "what the ranks called differs, says DETAIL's check"
        aspect_ = "op" if any("operation types" in str(e.data.get("message")) for e in checks) else "size"
    elif analysed and not sizes:
        text = "what the ranks called differs, says torch's analyser of their dumps"
        aspect_ = ANALYSED.get(str(analysed[0].data.get("what")), "op")
    elif refused and not sizes:
        text = "what the ranks called differs, says the library's check"
        aspect_ = refused[0][0]
    if found := [*sizes, *checks, *analysed, *(event for _, event in refused)]:
        yield Fact(
            kind="collective.mismatched",
            text=text,
            data={"aspect": aspect_, "majority": False, "resolved": resolved},
            since=earliest(found),
            events=found[:4],
            inferred=True,
        )


def is_cut(message: str) -> bool:
    """Whether only one of the two calls that DETAIL's check compares is there."""
    return "Detected mismatch between collectives" in message and message.count(fingerprints.PRINTED) < 2


def desynced(evidence: Evidence, resolved: bool) -> Iterable[Fact]:
    """Ranks that are alive and did not join what the others wait in, as torch's own report has it.

    It knows the ranks in the group, and calls late whom an extra call of another left behind.
    """
    lagging = {
        rank: event
        for event in evidence.of("nccl.desync_told")
        if "finished" in event.data and isinstance(ranks := event.data.get("ranks"), list)
        for rank in ranks
    }
    failed = {e.rank for e in evidence.of("exception.raised", "rank.died", "launcher.failure_listed")}
    alive = sorted(rank for rank in lagging if rank not in failed)
    if alive:
        yield Fact(
            kind="collective.skipped",
            text=f"{named(alive)} finished one collective fewer than the others, says the desync report",
            ranks=alive,
            data={"aspect": "op", "majority": False, "resolved": resolved},
            since=earliest(lagging.values()),
            events=list({id(e): e for e in lagging.values()}.values()),
            inferred=True,
        )


def by_stall_check(evidence: Evidence, resolved: bool) -> Iterable[Fact]:
    """Tensors of which each lacks other ranks, says Horovod: the ranks handed in different ones."""
    told = missed(evidence)
    if told and not told.late:
        yield Fact(
            kind="collective.mismatched",
            text=f"{named(told.sides)} and the others wait for different tensors, says Horovod's stall check",
            ranks=told.sides,
            data={"aspect": "op", "majority": told.majority, "resolved": resolved},
            events=told.events,
            inferred=True,
        )


def by_stacks(evidence: Evidence) -> Iterable[Fact]:
    """Who stands in another operation than those that wait for it, where no recorder tells more.

    Whose operation is the one that was left out or added, stacks do not tell: the odd one's is.
    """
    look = decisive(evidence)
    for wait in waits(look, evidence) if look else []:
        called = (
            {one.rank: one for one in standing(look, evidence) if one.call} if look and wait.inferred else {}
        )
        odd = [one for m in wait.awaited if (one := called.get(m.rank)) and differ(one.call, wait.call)]
        if odd:
            usual = [m.event for m in wait.waiting if m.event is not None]
            others = "; ".join(f"{named([one.rank])} in {one.place}" for one in odd)
            yield Fact(
                kind="collective.skipped",
                text=f"{named(ranks(wait.waiting))} wait in {wait.place()}; {others}",
                ranks=[one.rank for one in odd],
                data={"aspect": "op", "majority": True, "resolved": False},
                events=[*(one.event for one in odd), *usual][:4],
                inferred=True,
            )


def differ(call: str, other: str) -> bool:
    """Whether two calls are known to be of different operations.

    >>> differ("barrier", "all_reduce"), differ("barrier", "wait")
    (True, False)
    """
    return call != other and not {call, other} & NAMELESS

"""Who waits for whom in which collective, and who waits for nobody: the roots of the wait-for graph.

A root is awaited or behind, and waits for nobody. Where all members arrived with equal calls, the transport
does not deliver.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from diagnose import watchdogs
from diagnose.activity import of_rank
from diagnose.certificate import Link
from diagnose.certifying import Certifier
from diagnose.communicators import groups
from diagnose.compiling import compilers, spans
from diagnose.filelocks import locked
from diagnose.looks import Look, decisive
from diagnose.losses import ended_well, is_after, is_loss, is_timeout, later, retires
from diagnose.meeting import met, sides
from diagnose.model import Evidence, Fact, FactKind, named
from diagnose.ras_counts import missing
from diagnose.rendezvous import INIT
from diagnose.stall_checks import missed
from diagnose.standing import may_come
from diagnose.standing import waits as waits_of
from diagnose.unheard import excused
from diagnose.waiting import Member, Waiting, ranks

BARRIER = re.compile(r"\bRanks? (?P<ranks>[\d, ]{1,2000}) failed to pass monitoredBarrier")
NEEDS = ("flight_recorder",)
MANY = 64  # ranks in one wait whose places are looked at
KINDS = {
    "collective.waited": FactKind(
        "ranks wait in a collective; data: group, op, seq, waiting, awaited, behind", NEEDS
    ),
    "collective.awaited": FactKind("a root: never launched the collective that the others wait in", NEEDS),
    "collective.behind": FactKind("a root: launched it, and did not complete it as the others did", NEEDS),
    "collective.arrived": FactKind(
        "every member launched the same collective, or both sides a transfer, and none completed it", NEEDS
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    look = decisive(evidence)
    waits = waits_of(look, evidence)
    facts = list(of_look(look, waits, evidence)) if look else []
    yield from facts
    if not any(fact.kind == "collective.awaited" for fact in facts):
        told = list(by_text(evidence)) or list(by_stall_check(evidence))
        told = told or (list(by_ras(evidence)) if not facts else [])
        told = told or ([] if look else list(by_counters(evidence)))
        yield from told or ([] if look else by_first(evidence))


def by_ras(evidence: Evidence) -> Iterable[Fact]:
    """Whom NCCL's own service misses, where no recorder tells more."""
    for told in missing(evidence):
        data: dict[str, object] = {"op": told.op, "awaited": told.ranks, "compiles": False}
        yield Fact(
            kind="collective.awaited",
            text=f"{named(told.ranks)} {told.text}",
            ranks=told.ranks,
            data={**data, "resolved": ended_well(evidence)},
            since=told.events[0].time,
            events=told.events,
            open=not told.is_sure,
            inferred=True,
        )


def of_look(look: Look, waits: Sequence[Waiting], evidence: Evidence) -> Iterable[Fact]:
    blurred = is_after(look, evidence) and retires(evidence)
    num_waits = Counter(rank for w in waits for rank in ranks(w.waiting))
    behind = {m.rank for w in waits for m in w.behind}
    refused = unread(evidence)
    compiling = compilers(look, evidence, spans(evidence), set(num_waits))
    coming = may_come(look, evidence, waits) | unproven(look, waits, evidence)
    certifier = Certifier(waits, look)
    held_by: dict[int, set[int]] = {}
    for one in locked(look):
        held_by.setdefault(one.rank, set()).add(one.holder)
    for w in waits:
        yield waited(w, look)
        absent = [m for m in w.awaited if m.rank not in num_waits and not m.moved]
        absent = [m for m in absent if not is_inside(m.rank, look)] or absent
        absent = [
            m for m in absent if not (m.launched < 0 and m.rank in refused and is_unknown(m.rank, w, look))
        ]
        absent = [m for m in absent if not held_by.get(m.rank, set()) & {o.rank for o in absent}] or absent
        roots = [m for m in absent if is_late(m, w, look, evidence)]
        yield from never_joined(w, roots, coming, compiling, look, certifier)
        late = [m for m in w.behind if w.group.in_order or num_waits[m.rank] == 1]
        if late and not blurred:
            links = certifier.behind(w, late)
            yield root("collective.behind", w, late, look, "completed it, though launched", links)
        if not blurred and w.is_all_there() and not any(m.rank in behind for m in w.waiting):
            yield from arrived(w, num_waits, look, certifier)
    for w, other in met(waits):
        if len(sides(w, other)) == 1 and not blurred:
            yield unmoved(w, other, look, certifier)


def unproven(look: Look, waits: Sequence[Waiting], evidence: Evidence) -> set[int]:
    """Ranks that need not be to blame: they left nothing at all, or stand in a call of the library."""
    by_dumps = [w for w in waits if w.seq and not w.inferred]
    if not any(m.launched < 0 for w in by_dumps for m in w.awaited):
        return set()
    gone = {e.rank for e in evidence.of("rank.died")}
    found = excused(by_dumps, groups(look, evidence))
    return {r for r in found if r not in gone and (not look.by_rank.get(r) or is_inside(r, look))}


def never_joined(
    w: Waiting,
    roots: list[Member],
    coming: set[int],
    compiling: Collection[int],
    look: Look,
    certifier: Certifier,
) -> Iterable[Fact]:
    """Who is awaited; of those that may yet come, or be there, only another look can tell.

    Who compiles is told apart.
    """
    parts: dict[tuple[bool, bool], list[Member]] = {}
    for member in roots:
        parts.setdefault((member.rank in coming, member.rank in compiling), []).append(member)
    for (is_open, compiles), some in sorted(parts.items()):
        done = "come to it" if w.inferred else "launched it"
        fact = root("collective.awaited", w, some, look, done, certifier.awaited(w, some))
        data = {**fact.data, "compiles": compiles}
        yield msgspec.structs.replace(fact, open=is_open, data=data)


def is_inside(rank: int, look: Look) -> bool:
    """Whether a rank stands in a call of the library that no dump shows (gloo: send and receive)."""
    activity = of_rank(look, rank, False)
    return activity is not None and activity.is_ == "collective" and activity.moving is not True


def unread(evidence: Evidence) -> set[int | None]:
    """Ranks whose dump was refused: they may have launched anything."""
    return {e.rank for e in evidence.of("source.unreadable") if e.source == "flight_recorder"}


def is_unknown(rank: int, w: Waiting, look: Look) -> bool:
    """Whether nothing else tells what it does either.

    A host goes on while its device waits: where one that waits stands tells nothing of another there.
    """
    activity = of_rank(look, rank, False)
    if activity is None or activity.is_ in ("unknown", "collective"):
        return True
    others = (of_rank(look, m.rank, False) for m in w.waiting[:MANY]) if w.group.in_order else ()
    return any((one.is_, one.caller) == (activity.is_, activity.caller) for one in others if one)


def is_late(member: Member, w: Waiting, look: Look, evidence: Evidence) -> bool:
    """Whether an absent rank was late, and not only on its way when another failed.

    After a failure the others leave one by one: who had not arrived yet is late only where somebody's time
    for it ran out. One that left no dump, and reports a failed collective itself, may have been in this one.
    """
    if not is_after(look, evidence):
        return True
    told = [e for e in evidence.events if not later(e, look)]
    waiting = {None, *ranks(w.waiting)}
    may_be_in = member.launched < 0 and any(e.rank == member.rank and is_loss(e) for e in told)
    return not may_be_in and any(e.rank in waiting and is_timeout(e) for e in told)


def by_text(evidence: Evidence) -> Iterable[Fact]:
    """Ranks that rank 0 says did not pass its monitored barrier, and that do not say they were in one.

    With DETAIL every call begins with such a barrier: two groups in opposite order name an innocent rank.
    """
    named_by = [e for e in evidence.events if e.kind == "gloo.barrier_failed" or is_timeout(e)]
    reached = {e.rank for e in evidence.events if is_loss(e)}
    for event in named_by:
        found = BARRIER.search(str(event.data.get("message", "")))
        told = event.data.get("ranks") if found is None else re.findall(r"\d+", found["ranks"])
        late = sorted({int(str(rank)) for rank in told} - reached) if isinstance(told, list) else []
        if late:
            yield Fact(
                kind="collective.awaited",
                text=f"{named(late)} did not pass the monitored barrier, says rank 0",
                ranks=late,
                data={
                    "op": "monitored_barrier",
                    "awaited": late,
                    "resolved": ended_well(evidence),
                    "compiles": False,
                },
                since=event.time,
                events=[event],
            )
            return


def by_stall_check(evidence: Evidence) -> Iterable[Fact]:
    """The ranks that all stalled tensors lack, says Horovod."""
    told = missed(evidence)
    if told and told.late:
        yield Fact(
            kind="collective.awaited",
            text=f"{named(told.late)} did not hand in what the others wait for, says Horovod's stall check",
            ranks=told.late,
            data={"awaited": told.late, "resolved": ended_well(evidence), "compiles": False},
            events=told.events,
            inferred=True,
        )


def by_counters(evidence: Evidence) -> Iterable[Fact]:
    """Ranks whose watchdogs say that they enqueued less of a group than others: they did not call it, or
    stand inside the call.
    """
    for group, told in sorted(watchdogs.reaches(evidence).items()):
        most = max(reach.enqueued for reach in told.values())
        late = [r for r in told.values() if r.enqueued < most and r.completed == r.enqueued]
        lost = {e.rank for e in evidence.events if is_loss(e)}
        if late and not lost & {r.rank for r in late}:
            yield Fact(
                kind="collective.awaited",
                text=f"{named([r.rank for r in late])} enqueued {late[0].enqueued} of {most}",
                ranks=sorted(r.rank for r in late),
                data={"group": group, "resolved": ended_well(evidence), "compiles": False},
                since=min((r.event.time for r in late if r.event.time is not None), default=None),
                events=[r.event for r in (*late, *told.values())][:4],
                inferred=True,
            )
            return


def by_first(evidence: Evidence) -> Iterable[Fact]:
    """All ranks that gave up one and the same first collective: the ways between them have never worked."""
    told = watchdogs.first_given_up(evidence)
    if told:
        op, num = told[0].call[0], len(told)
        yield Fact(
            kind="collective.arrived",
            text=f"all {num} ranks gave up their first collective ({op}): nothing ever got through",
            data={"op": op, "seq": told[0].seq, "resolved": ended_well(evidence)},
            events=[report.event for report in told.values()][:4],
            inferred=True,
        )


def waited(w: Waiting, look: Look) -> Fact:
    missing = ranks(w.awaited)
    tail = f", {named(missing)} missing" if missing else ""
    return Fact(
        kind="collective.waited",
        text=w.said() + tail,
        ranks=ranks(w.waiting),
        data=w.data(look),
        since=w.since(),
        events=w.events(),
        inferred=w.inferred,
    )


def root(kind: str, w: Waiting, roots: list[Member], look: Look, done: str, links: list[Link]) -> Fact:
    mine = ranks(roots)
    silent = [m.rank for m in roots if m.event is None and m.launched < 0]
    note = f"; no dump of {named(silent)}" if silent else ""
    has = "has" if len(mine) == 1 else "have"
    return Fact(
        kind=kind,
        text=f"{named(mine)} {has} not {done}: {w.said()}{note}",
        ranks=mine,
        data={**w.data(look), "dumped": not silent, "certificate": links},
        since=w.since(),
        events=[m.event for m in roots if m.event] or w.events(),
        inferred=w.inferred,
    )


def arrived(w: Waiting, num_waits: Mapping[int, int], look: Look, certifier: Certifier) -> Iterable[Fact]:
    """All launched and none completed, unless a member waits in another communicator for something."""
    if w.group.in_order:
        is_free = len(w.heads) == len(w.waiting)
    else:
        is_free = all(num_waits[m.rank] == 1 for m in w.waiting)
    if not is_free:
        return
    yield Fact(
        kind="collective.arrived",
        text=f"every member launched {w.place()}, and none completed it",
        ranks=ranks(w.waiting),
        data={**w.data(look), "certificate": certifier.arrived(w)},
        since=w.since(),
        events=w.events(),
        inferred=w.group.name == INIT,  # by the hooks' word alone: what they wait for there, no dump tells
    )


def unmoved(w: Waiting, other: Member, look: Look, certifier: Certifier) -> Fact:
    """A transfer that both sides launched."""
    both = [*w.waiting, other]
    return Fact(
        kind="collective.arrived",
        text=f"{named(ranks(both))} launched {w.place()}, and neither completed it",
        ranks=sorted(ranks(both)),
        data={**w.data(look), "certificate": certifier.met(w, other)},
        since=w.since(),
        events=[m.event for m in both if m.event],
    )

"""Ranks that wait for each other in different groups: no machine is at fault, the order of the calls is.

With TORCH_DISTRIBUTED_DEBUG=DETAIL every rank compares its call with the others' before it makes it. That
check waits for all members although the call itself (`async_op=True`) would not: then it is at fault.
"""

from collections.abc import Iterable

from diagnose import fingerprints
from diagnose.activity import of_rank
from diagnose.calls import differing
from diagnose.certifying import Certifier
from diagnose.circles import circles
from diagnose.looks import Look, decisive
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.places import call, site
from diagnose.stackframes import own_frame
from diagnose.waitgraph import stuck
from diagnose.waiting import ranks

KINDS = {
    "collective.cycled": FactKind(
        "ranks wait for each other in a circle; data: groups, sites, resolved", ("flight_recorder",)
    ),
    "collective.checks_crossed": FactKind(
        "every rank waits in DETAIL's check of another asynchronous call; data: sites, resolved",
        ("agent",),
    ),
}

MAX_TOLD = 16  # waits of a circle told in words


def derive(evidence: Evidence) -> Iterable[Fact]:
    look = decisive(evidence)
    if look is None:
        yield from by_text(evidence)
        return
    waits = stuck(look, evidence)
    explained = {m.rank for w in waits for m in w.behind} | {m.rank for m in differing(waits)}
    certifier = Certifier(waits, look)
    in_order = any(w.group.in_order for w in waits)
    for circle in circles(waits):
        if explained.isdisjoint(circle) or not in_order:
            yield fact(circle, certifier, look)
    if not any(w.seq for w in waits):
        yield from crossed(look, evidence)


def by_text(evidence: Evidence) -> Iterable[Fact]:
    """What ranks say of DETAIL's checks: only its own number differs, or its own group did not come up."""
    alone = [e for e in evidence.of("store.key_missing", "exception.raised") if is_wrapper(e)]
    told = fingerprints.miscounted(evidence)
    if told or alone:
        text = "equal calls differ in the number that DETAIL's checks count" if told else WRAPPER
        yield Fact(
            kind="collective.checks_crossed",
            text=text,
            data={"resolved": ended_well(evidence)},
            since=min((e.time for e in told or alone if e.time is not None), default=None),
            events=(told or alone)[:4],
            inferred=True,
        )


WRAPPER = "the group that DETAIL makes for its checks waits for ranks that do not make it"


def is_wrapper(event: Event) -> bool:
    """Whether a wait was that of DETAIL's own group, by the store's key or by the stack."""
    said = f"{event.data.get('keys')} {event.data.get('message')}"
    frames = event.data.get("frames")
    waits = event.kind == "store.key_missing" or any(word in said for word in ("imeout", "imed out", "loo"))
    return waits and (
        "pg_wrapper:" in said
        or (isinstance(frames, list) and any("_create_process_group_wrapper" in str(f) for f in frames))
    )


def fact(circle: list[int], certifier: Certifier, look: Look) -> Fact:
    members = set(circle)
    waits = certifier.of_heads(circle)
    stacks = look.last("stack.read")
    parts, groups, events, places = [], list[str](), list[Event](), dict[int, str]()
    for w in waits:
        here = [m for m in w.waiting if m.rank in members and m.rank in w.heads]
        late = (m for m in w.group.members if m.rank not in w.heads and m.completed < w.seq)
        lacking = [m.rank for m in late if m.rank in members]
        if not here or not lacking:
            continue
        told = {m.rank: site(look, m.rank) or m.site(w.seq) for m in here}
        at = " and ".join(dict.fromkeys(filter(None, told.values())))
        parts.append(f"{named(ranks(here))} in {w.place()}{f' at {at}' if at else ''} for {named(lacking)}")
        groups.append(w.group.title())
        events += [event for m in here if (event := stacks.get(m.rank, m.event))]
        places |= told
    more = [f"and so on, {len(parts)} waits in all"] if len(parts) > MAX_TOLD else []
    times = [t for w in waits if (t := w.since()) is not None]
    return Fact(
        kind="collective.cycled",
        text="each waits for another: " + "; ".join([*parts[:MAX_TOLD], *more]),
        ranks=sorted(circle),
        data={
            "groups": groups,
            "sites": [places.get(rank, "") for rank in sorted(circle)],
            "resolved": look.resolved_after_s is not None,
            "certificate": certifier.circle(circle),
        },
        since=min(times, default=None),
        events=events,
    )


def crossed(look: Look, evidence: Evidence) -> Iterable[Fact]:
    """All stand in calls of the library at different places, and none has been launched: the checks wait."""
    checked = any(str(e.data.get("group")).startswith("pg:") for e in evidence.of("flight.group_read"))
    doing = {rank: a for rank in evidence.ranks if (a := of_rank(look, rank, False)) is not None}
    inside = [a for a in doing.values() if a.is_ == "collective" and a.moving is not True]
    if not checked or len(inside) < len(evidence.ranks):
        return
    frames = {own_frame(a.event) for a in doing.values()}
    calls = [call(look, rank)[1] for rank in doing]
    if len(frames) < 2 or not all(calls):
        return
    is_async = all("async_op=True" in text for text in calls)
    placed = look.last("stack.placed")
    yield Fact(
        kind="collective.checks_crossed" if is_async else "collective.cycled",
        text="each waits in the check before another call: "
        + "; ".join(f"{named([rank])} at {site(look, rank)}" for rank in doing),
        ranks=sorted(doing),
        data={"sites": [site(look, rank) for rank in doing], "resolved": look.resolved_after_s is not None},
        events=[placed.get(rank, a.event) for rank, a in doing.items()],
    )

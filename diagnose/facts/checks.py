"""TORCH_DISTRIBUTED_DEBUG=DETAIL: the waits that its checks themselves cause.

Every rank compares its call with the others' before it makes it. The check waits for all members, although
the call itself (`async_op=True`) would not.
"""

from collections.abc import Iterable

from diagnose.activity import of_rank, own_frame
from diagnose.looks import Look, decisive
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.waitgraph import groups, wait_for

KINDS = {
    "collective.checks_crossed": FactKind(
        "every rank waits in the check of another call; data: is_async (all calls are), resolved",
        ("agent",),
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    look = decisive(evidence)
    if look is not None:
        yield from crossed(look, evidence)


def crossed(look: Look, evidence: Evidence) -> Iterable[Fact]:
    """All stand in calls of the library at different places, and none has been launched: the checks wait."""
    checked = any(str(e.data.get("group")).startswith("pg:") for e in evidence.of("flight.group_read"))
    doing = {rank: a for rank in evidence.ranks if (a := of_rank(look, rank, False)) is not None}
    inside = [a for a in doing.values() if a.is_ == "collective" and a.moving is not True]
    if not checked or len(inside) < len(evidence.ranks) or wait_for(groups(look, evidence)):
        return
    sites = {rank: own_frame(a.event) for rank, a in doing.items()}
    if len(set(sites.values())) < 2:
        return
    placed = look.last("stack.placed")
    calls = {rank: call_at(placed[rank], site) for rank, site in sites.items() if rank in placed}
    told = [call for call in calls.values() if call]
    is_async = all("async_op=True" in call for call in told) if len(told) == len(sites) else None
    parts = (
        f"{named([rank])} at {site}" + (f", `{calls[rank]}`" if calls.get(rank) else "")
        for rank, site in sites.items()
    )
    yield Fact(
        kind="collective.checks_crossed",
        text="each waits in the check before another call: " + "; ".join(parts),
        ranks=sorted(sites),
        data={"is_async": is_async, "resolved": look.resolved_after_s is not None},
        events=[placed.get(rank, a.event) for rank, a in doing.items()],
    )


def call_at(placed: Event, site: str) -> str:
    told = placed.data.get("places")
    rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
    return next((str(row.get("call")) for row in rows if row.get("frame") == site), "")

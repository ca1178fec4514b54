"""Connections between ranks on which nothing is acknowledged any more: a link or a host went away.

Seen by the agent, or told by NCCL: an adapter that gave a transfer up, a port that went down, sockets that
both ends saw reset although no process had failed.

A rank that is stuck, stopped or slow still acknowledges what reaches its host. Data that are sent again and
again, at both scans of a look, reach nobody.
"""

from collections.abc import Iterable

from diagnose import nccl
from diagnose.endings import ended
from diagnose.looks import Look, decisive
from diagnose.model import Event, Evidence, Fact, FactKind, Record, rows
from diagnose.raisings import kinds, parted
from diagnose.resuming import last_resumed

KINDS = {
    "network.unanswered": FactKind(
        "what ranks send to another host is not acknowledged; data: attempts (sends again and probes of the "
        "worst connection), no_route (a host has lost its way to a peer), peers, resolved",
        ("agent", "nccl_log"),
    ),
}


UNANSWERED = {12, 13}  # IBV_WC_RETRY_EXC_ERR, IBV_WC_RNR_RETRY_EXC_ERR
WITNESSES = {"rank_log", "launcher_log", "agent"}  # who would have told of a process that failed
# NCCL_IB_RETRY_CNT by default: so often an adapter tried before it said so. A port that is down and a
# connection that was reset are told without a count, and settle as much.
GAVE_UP = 7
KILLED = {4, 7, 8, 9, 11}  # SIGABRT is what the watchdog of a waiting rank ends in
KILLED_SHELL = 137


class Dead(Record, frozen=True):
    """A connection on which nothing was acknowledged at the end of a look."""

    rank: int
    here: str  # the node, or the address where no node is known
    there: str
    peer: str
    attempts: int
    event: Event


def derive(evidence: Evidence) -> Iterable[Fact]:
    yield from given_up(evidence)
    look = decisive(evidence)
    dead = unanswered(look, evidence) if look else []
    if look is None or not dead:
        return
    lost = unrouted(look, evidence)
    events = [one.event for one in sorted(dead, key=lambda one: -one.attempts)]
    yield Fact(
        kind="network.unanswered",
        text=said(dead, lost),
        nodes=sorted(lost) or common({(one.here, one.there) for one in dead}),
        data={
            "attempts": max(one.attempts for one in dead),
            "no_route": bool(lost),
            "peers": sorted({one.peer for one in dead}),
            "resolved": look.resolved_after_s is not None,
        },
        since=silence(evidence),
        events=[*lost.values(), *events][:4],
    )


def given_up(evidence: Evidence) -> Iterable[Fact]:
    """What NCCL says of it. A peer whose process failed looks the same from here."""
    if is_failed(evidence):
        return
    heard = nccl.sayings(evidence, "nccl.completion_failed", "nccl.port_failed", "nccl.connection_lost")
    told = [(event, kind, data) for event, kind, data in heard]
    lost = [
        e
        for e, kind, data in told
        if kind == "nccl.completion_failed" and (data.get("status") in UNANSWERED or "code" in data)
    ]
    down = [e for e, kind, _ in told if kind == "nccl.port_failed"]
    cut = [
        e for e, kind, data in told if kind == "nccl.connection_lost" and "reset" in str(data.get("reason"))
    ]
    if len({e.data.get("host") for e in cut} - {None}) < 2:
        cut = []  # one end alone: the other one closed it
    if not (down or lost or cut):
        return
    hosts = sorted({host for e in down or lost or cut if isinstance(host := e.data.get("host"), str)})
    words = (
        f"an adapter of {' and '.join(hosts) or 'a host'} reports that its port went down"
        if down
        else f"an adapter of {', '.join(hosts[:3]) or 'a host'} got no answer over the fabric and gave up"
        if lost
        else f"{', '.join(hosts[:3])} each saw their connection reset, and no process had failed"
    )
    yield Fact(
        kind="network.unanswered",
        text=words,
        nodes=hosts if down else [],
        data={"attempts": GAVE_UP, "no_route": bool(down), "peers": [], "resolved": False},
        since=min((e.time for e in [*down, *lost, *cut] if e.time is not None), default=None),
        events=[*down, *lost, *cut][:4],
        inferred=not down,
        open=not down and not evidence.read & WITNESSES,
    )


def is_failed(evidence: Evidence) -> bool:
    """Whether a rank failed for a reason of its own."""
    uncaught, _ = parted(evidence)
    raised = any(
        kind == "exception.raised" for mine in uncaught.values() for c in mine for kind, _ in kinds(c)
    )
    return raised or any(end.sig in KILLED or end.code == KILLED_SHELL for end in ended(evidence).values())


def silence(evidence: Evidence) -> float | None:
    """When the last progress was made before the stall that was looked at."""
    moved = last_resumed(evidence.events)
    calls = [(e.time, e.data.get("silent_s")) for e in evidence.of("job.stalled")]
    begun = [t - s for t, s in calls if t is not None and t > moved and isinstance(s, int | float)]
    return min(begun, default=None)


def scans(look: Look) -> list[list[Event]]:
    found = [[e for e in scan if e.kind == "connections.read"] for scan in look.scans]
    return [scan for scan in found if scan]


def homes(look: Look, evidence: Evidence) -> dict[str, str]:
    """Addresses of ranks, each with its node."""
    seen = (event for scan in scans(look) for event in scan)
    return {address: name(e, evidence) for e in seen for address in texts(e.data.get("addresses"))}


def is_rank(address: str, known: dict[str, str], evidence: Evidence) -> bool:
    """Whether ranks may be at an address: a rank may also be connected to services that are none of ours."""
    return address in known or (evidence.num_ranks or 0) > len(evidence.ranks)


def unrouted(look: Look, evidence: Evidence) -> dict[str, Event]:
    """The hosts that have no route to ranks they are connected to."""
    known = homes(look, evidence)
    return {
        name(event, evidence): event
        for scan in scans(look)[-1:]
        for event in scan
        if any(is_rank(peer, known, evidence) for peer in texts(event.data.get("unrouted")))
    }


def unanswered(look: Look, evidence: Evidence) -> list[Dead]:
    """The connections of the last scan that were already waiting in the first."""
    seen, known = scans(look), homes(look, evidence)
    waiting = {(e.rank, row.get("inode")) for e in (seen[0] if seen else []) for row in rows_of(e)}
    last = [(event, row) for scan in seen[-1:] for event in scan for row in rows_of(event)]
    found = []
    for event, row in last:
        again, peer = row.get("attempts"), str(row.get("peer", ""))
        host, own = peer.rpartition(":")[0], str(row.get("local", "")).rpartition(":")[0]
        if event.rank is None or (event.rank, row.get("inode")) not in waiting:
            continue
        if not is_rank(host, known, evidence):
            continue
        here, there = name(event, evidence), known.get(host, host)
        found.append(
            Dead(
                rank=event.rank,
                here=here if here != there else own,  # one name for both: their addresses differ
                there=there if here != there else host,
                peer=peer,
                attempts=again if isinstance(again, int) else 0,
                event=event,
            )
        )
    return found


def name(event: Event, evidence: Evidence) -> str:
    return evidence.nodes.get(event.rank if event.rank is not None else -1) or event.node or "a host"


def rows_of(event: Event) -> list[dict[str, object]]:
    return rows(event.data.get("unanswered"))


def texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def common(pairs: set[tuple[str, str]]) -> list[str]:
    """The one host that every dead connection ends at, where there are enough of them to tell; else all."""
    shared = set.intersection(*({*pair} for pair in pairs))
    every = {host for pair in pairs for host in pair}
    return sorted(shared if len(shared) == 1 and len(every) > 2 else every)


def said(dead: list[Dead], lost: Iterable[str]) -> str:
    ways = sorted({f"{one.here} to {one.there}" for one in dead})
    more = f" and {len(ways) - 3} more" if len(ways) > 3 else ""
    worst = max(one.attempts for one in dead)
    text = f"what goes from {', '.join(ways[:3])}{more} is not acknowledged ({worst} tries)"
    return "; ".join([text, *(f"{host} has no route left to its peer" for host in sorted(lost))])

"""Start-up: whether the ranks came together, and what kept them apart.

A rank that waits in the rendezvous is a victim. What is to blame is who never came, a port that somebody else
holds, an address that nobody serves, or ranks that were told different things.
"""

import math
from collections import Counter
from collections.abc import Iterable

from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind, earliest, named
from diagnose.raisings import kind_of
from diagnose.rendezvous import INIT, Init, came_together, inits, sayings
from diagnose.tellings import reporters

NEEDS = ("rank_hook", "elastic_error", "rank_log", "launcher_log")
KINDS = {
    "rendezvous.timed_out": FactKind("a rank reports that others did not come to the rendezvous", NEEDS),
    "rendezvous.address_taken": FactKind("the store's port was in use by somebody else; data: port", NEEDS),
    "rendezvous.unreachable": FactKind(
        "ranks cannot reach each other; data: how (no_answer, no_interface, peer_refused, different_places)",
        NEEDS,
    ),
    "store.connection_lost": FactKind("a rank reports that the store's process has gone", NEEDS),
    "rendezvous.told_differently": FactKind(
        "ranks of one rendezvous were told different world sizes, or more came than it has; data: how", NEEDS
    ),
}
LATER = ("gloo.timed_out", "nccl.watchdog_timed_out", "flight.group_read")
NO_WAY = ("refused", "No route", "unreachable", "abort", "same subnet", "Connection timed out")
WATCHING = ("in num_nodes_waiting", "in _restart_workers")  # what torchrun does once its ranks run
WAITED = {"store.clients_missing", "store.key_missing", "gloo.connect_failed"}
Saying = tuple[Event, dict[str, object]]


def derive(evidence: Evidence) -> Iterable[Fact]:
    found: dict[str, list[Saying]] = {}
    works, past = trained(evidence), is_past(evidence)
    for event, kind, data in sayings(evidence):
        is_fatal = event.source in {"rank_hook", "elastic_error"}  # who tell of what nobody caught
        is_later = kind.startswith("nccl.")  # communicators are made at the first call, not when ranks meet
        over = past and not is_later if event.kind != "exception.raised" else works and not is_fatal
        over = over or (is_later and works) or is_watching(event)
        if not over:  # else it is of a try that was made again
            found.setdefault(kind, []).append((event, data))
    yield from waited([each for kind in sorted(WAITED) for each in found.get(kind, [])])
    yield from lost(list(evidence.of("store.lost")))
    yield from taken(found.get("store.address_taken", []))
    if serves(evidence):
        yield from unreached(found.get("store.unreachable", []), began(evidence))
    yield from shut_out(found.get("host.unreachable", []))
    yield from unconnected(found, evidence)
    yield from untold(found.get("rendezvous.variable_missing", []))
    yield from overfull([*found.get("store.clients_missing", []), *found.get("store.clients_counted", [])])
    yield from miscounted(found.get("nccl.ranks_differ", []))
    if not works:
        tried = inits(evidence)
        yield from apart(tried, evidence)
        yield from told_differently(tried)


def trained(evidence: Evidence) -> bool:
    """Whether the job got to its work, or ended well."""
    well = ended_well(evidence)
    return well or any(evidence.of("step.first_completed"))


def is_past(evidence: Evidence) -> bool:
    """Whether the ranks came together: what was said on the way is no failure then."""
    watching = any(map(is_watching, evidence.of("exception.raised")))
    return trained(evidence) or came_together(evidence) or watching or any(evidence.of(*LATER))


def is_watching(event: Event) -> bool:
    """Whether torchrun raised it that already watched its ranks: its store was there before."""
    frames = event.data.get("frames")
    return isinstance(frames, list) and any(str(frame).endswith(WATCHING) for frame in frames)


def waited(found: list[Saying]) -> Iterable[Fact]:
    by_rank: dict[int | None, list[Saying]] = {}
    for event, data in found:
        by_rank.setdefault(event.rank, []).append((event, data))
    for rank, mine in by_rank.items():
        counts = next((f"{d['joined']}/{d['expected']} came" for _, d in mine if "joined" in d), "")
        waiter = "a process" if rank is None else named([rank])
        keys = [str(d["keys"]) for _, d in mine if "keys" in d]
        counts = counts or (f"the key {keys[0]} did not come" if keys else "")
        yield Fact(
            kind="rendezvous.timed_out",
            text=f"{waiter} waited in vain in the rendezvous" + (f": {counts}" if counts else ""),
            ranks=[] if rank is None else [rank],
            data=mine[0][1],
            since=first(mine),
            events=[event for event, _ in mine][:4],
        )


def lost(found: list[Event]) -> Iterable[Fact]:
    if found:
        yield Fact(
            kind="store.connection_lost",
            text=f"{reporters(found, 'a process')} lost the store: the process that serves it has gone",
            ranks=sorted({event.rank for event in found if event.rank is not None}),
            since=earliest(found),
            events=found[:4],
        )


def first(found: list[Saying]) -> float | None:
    return earliest(event for event, _ in found)


def who(found: list[Saying]) -> str:
    return reporters((event for event, _ in found), "the launcher or a rank")


def taken(found: list[Saying]) -> Iterable[Fact]:
    if found:
        port = next((data["port"] for _, data in found if "port" in data), None)
        at = f" at port {port}" if port is not None else ""
        yield Fact(
            kind="rendezvous.address_taken",
            text=f"{who(found)} could not serve{at}: the address is already in use",
            data={"port": port},
            since=first(found),
            events=[event for event, _ in found][:4],
        )


def began(evidence: Evidence) -> float | None:
    """When the first rank began to join."""
    return earliest(e for e in evidence.of("phase.started") if e.data.get("phase") == INIT)


def serves(evidence: Evidence) -> bool:
    """Whether rank 0, which serves the store, was there to answer, for all that is known."""
    begun = {e.rank for e in evidence.of("phase.started") if e.data.get("phase") == INIT}
    words = {event.where for event, _, _ in sayings(evidence)}
    failed = any(e.rank == 0 and e.where not in words for e in evidence.of("exception.raised"))
    return not failed and (not begun or 0 in begun)


def unreached(found: list[Saying], since: float | None) -> Iterable[Fact]:
    if found:
        host, port = next(((d["host"], d["port"]) for _, d in found if "port" in d), ("", ""))
        address = f"{host}:{port}" if host else ""
        yield Fact(
            kind="rendezvous.unreachable",
            text=f"{who(found)} could not connect to the store" + (f" at {address}" if address else ""),
            data={"address": address, "how": "no_answer"},
            since=since,
            events=[event for event, _ in found][:4],
        )


def shut_out(found: list[Saying]) -> Iterable[Fact]:
    """Hosts on which the launcher could start nothing."""
    if found:
        hosts = sorted({str(data["host"]) for _, data in found if "host" in data})
        who, why = ", ".join(hosts[:4]) or "a host", found[0][1].get("reason")
        yield Fact(
            kind="rendezvous.unreachable",
            text=f"the launcher could not reach {who}: {why}",
            data={"how": "no_answer"},
            since=first(found),
            events=[event for event, _ in found][:4],
        )


def unconnected(found: dict[str, list[Saying]], evidence: Evidence) -> Iterable[Fact]:
    """Ranks that met, and cannot connect to the addresses they gave each other, though nobody had failed."""
    missing = [*found.get("gloo.address_missing", []), *found.get("nccl.interface_missing", [])]
    refused = [
        (event, data)
        for event, data in [*found.get("gloo.connect_failed", []), *found.get("nccl.connect_failed", [])]
        if any(word in str(data.get("reason")) for word in NO_WAY)
    ]
    if not {"rank_hook", "agent"} & evidence.read:  # a run of ours tells who was gone before
        refused += [(e, data) for e, data in found.get("gloo.connect_failed", []) if (e, data) not in refused]
    words = {event.where for told in found.values() for event, _ in told}
    told_of = [e for e in evidence.of("exception.raised") if e.where not in words]
    others = [e for e in told_of if kind_of(e) == "exception.raised"]
    others += [e for e in evidence.of("rank.died") if e.data.get("signal")]
    for told, how in ((missing, "no_interface"), ([] if others else refused, "peer_refused")):
        if told:
            what = told[0][1].get("interface") or told[0][1].get("reason") or "of this host"
            peer = f" at {told[0][1]['peer']}" if told[0][1].get("peer") else ""
            text = {
                "no_interface": f"{who(told)} found no address for the interface {what}",
                "peer_refused": f"{who(told)} could not connect to a peer{peer}: {what}",
            }
            yield Fact(
                kind="rendezvous.unreachable",
                text=text[how],
                data={"how": how},
                since=began(evidence),
                events=[event for event, _ in told][:4],
            )


def differing(how: str, text: str, found: list[Saying]) -> Fact:
    """That ranks were told different things, in somebody's own words."""
    return Fact(
        kind="rendezvous.told_differently",
        text=text,
        data={"how": how},
        since=first(found),
        events=[event for event, _ in found][:4],
    )


def untold(found: list[Saying]) -> Iterable[Fact]:
    if found:
        name = found[0][1].get("name")
        yield differing("unset", f"{who(found)} was not told where to meet: {name} is not set", found)


def overfull(found: list[Saying]) -> Iterable[Fact]:
    for event, data in found:
        joined, expected = data.get("joined"), data.get("expected")
        if isinstance(joined, int) and isinstance(expected, int) and joined > expected:
            text = f"{joined} workers came to a store for {expected}: two jobs on one store"
            yield differing("overfull", text, [(event, data)])
            return


def miscounted(found: list[Saying]) -> Iterable[Fact]:
    if found:
        text = found[0][1].get("text")
        yield differing("nccl", f"{who(found)} found ranks that were told different things: {text}", found)


def told_differently(tried: list[Init]) -> Iterable[Fact]:
    """Ranks that meet at one place with different world sizes."""
    for place in sorted({init.place for init in tried if init.place}):
        here = [init for init in tried if init.place == place]
        sizes = Counter(init.size for init in here)
        if len(sizes) < 2:
            continue
        usual, votes = sizes.most_common(1)[0]
        odd = [init for init in here if init.size != usual] if votes * 2 > len(here) else []
        sides = (f"{named([i.rank for i in here if i.size == size])}: {size}" for size in sorted(sizes))
        yield Fact(
            kind="rendezvous.told_differently",
            text=f"the ranks were told different world sizes ({', '.join(sides)})",
            ranks=[init.rank for init in odd],
            data={"how": "sizes"},
            since=min(init.event.time or 0.0 for init in here),
            events=[init.event for init in odd or here],
        )


def apart(tried: list[Init], evidence: Evidence) -> Iterable[Fact]:
    """Ranks of one world size that look for each other at different places, and wait there."""
    waiting = [init for init in tried if not init.ok and init.place]
    places: dict[str, list[Init]] = {}
    for init in waiting:
        places.setdefault(init.place, []).append(init)
    if (
        len(places) < 2
        or len({init.size for init in waiting}) > 1
        or not (any(evidence.of("job.stalled")) or any(init.left < math.inf for init in waiting))
    ):
        return
    sides = (f"{named([i.rank for i in here])} at {here[0].address}" for here in places.values())
    yield Fact(
        kind="rendezvous.unreachable",
        text=f"the ranks look for each other at different places: {', '.join(sides)}",
        data={"how": "different_places"},
        since=min(init.event.time or 0.0 for init in waiting),
        events=[here[0].event for here in places.values()],
    )

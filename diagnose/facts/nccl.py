"""What NCCL found wrong under it: one GPU twice, peers apart, a network that does not fit."""

from collections import Counter
from collections.abc import Iterable

from diagnose import nccl
from diagnose.lines import nccl_comm
from diagnose.model import Event, Evidence, Fact, FactKind, earliest, fold
from diagnose.tellings import reporters

NEEDS = ("nccl_log",)
KINDS = {
    "gpu.duplicated": FactKind(
        "NCCL found two ranks on one GPU; data: devices (their buses), apart (on different nodes)", NEEDS
    ),
    "gpu.peers_apart": FactKind(
        "GPUs of one host cannot reach each other as they should; data: reason",
        (*NEEDS, "kernel_log"),
    ),
    "net.misfitted": FactKind(
        "the network that NCCL has, or was told, does not fit; data: how (plugin, path, networks_differ)",
        NEEDS,
    ),
}
QUIET = {
    *("log.read", "kernel.read", "gpu.report_read", "gpu.process_listed", "peers.report_read"),
    *("peers.redirected", "peers.measured", *nccl_comm.EVENTS),
}  # what tells of no failure
Saying = tuple[Event, dict[str, object]]


def derive(evidence: Evidence) -> Iterable[Fact]:
    yield from duplicated(heard(evidence, "nccl.gpu_duplicated"), evidence)
    yield from apart(heard(evidence, "nccl.peers_apart"))
    yield from intercepted(list(evidence.of("iommu.refused")))
    yield from slower(list(evidence.of("peers.measured")))
    if hangs(evidence):
        yield from redirected(list(evidence.of("peers.redirected")))
    yield from misfitted("plugin", heard(evidence, "nccl.plugin_failed"))
    yield from misfitted("path", heard(evidence, "nccl.path_refused"))
    yield from differing(list(evidence.of("nccl.network_chosen")))


def heard(evidence: Evidence, kind: str) -> list[Saying]:
    return [(event, data) for event, _, data in nccl.sayings(evidence, kind)]


def duplicated(found: list[Saying], evidence: Evidence) -> Iterable[Fact]:
    ranks = {
        rank for _, data in found for key in ("first", "second") if isinstance(rank := data.get(key), int)
    }
    if ranks:
        devices = sorted({str(data["device_id"]) for _, data in found if "device_id" in data})
        pairs = [(data.get("first"), data.get("second")) for _, data in found]
        is_apart = all(are_apart(one, other, evidence) for one, other in pairs)
        yield Fact(
            kind="gpu.duplicated",
            text=f"NCCL found ranks {fold(sorted(ranks))} on the same GPU{'s' * (len(devices) > 1)}"
            + (f" ({', '.join(devices[:8])})" if devices else "")
            + ("; they are on different nodes" if is_apart else ""),
            ranks=sorted(ranks),
            data={"devices": devices, "apart": is_apart},
            since=first(found),
            events=[event for event, _ in found][:8],
        )


def are_apart(one: object, other: object, evidence: Evidence) -> bool:
    """Whether two ranks are on different nodes: by their names, or as the same place of a launcher's."""
    hosts = [{e.node for e in claims(rank, evidence) if e.node} for rank in (one, other)]
    places = [{e.data.get("local_rank") for e in claims(rank, evidence)} - {None} for rank in (one, other)]
    return (all(hosts) and not hosts[0] & hosts[1]) or bool(places[0] & places[1])


def claims(rank: object, evidence: Evidence) -> list[Event]:
    return [e for e in evidence.of("rank.claimed", "rank.found") if e.rank == rank]


def apart(found: list[Saying]) -> Iterable[Fact]:
    if found:
        reason = str(found[0][1].get("reason"))
        yield Fact(
            kind="gpu.peers_apart",
            text=f"NCCL on {who(found)}: {reason}",
            nodes=hosts(found),
            data={"reason": reason},
            since=first(found),
            events=[event for event, _ in found][:4],
        )


def intercepted(found: list[Event]) -> Iterable[Fact]:
    """What the kernel says of it: the IOMMU stands between devices that may reach each other."""
    ours = [event for event in found if "nvidia" in str(event.data) or "GPU" in str(event.data)] or found
    if ours:
        device = ours[0].data.get("device") or "a device"
        yield Fact(
            kind="gpu.peers_apart",
            text=f"the IOMMU refused accesses of {device}",
            data={"reason": "iommu"},
            since=earliest(ours),
            events=ours[:4],
            inferred=True,
        )


def slower(found: list[Event]) -> Iterable[Fact]:
    """What a test of the links measured: the direct path is there, and does not carry what it should."""
    for event in found[:1]:
        pairs, speed, other = (event.data.get(key) for key in ("slower", "direct", "by_host"))
        some = ", ".join(f"{a} and {b}" for a, b in pairs[:3]) if isinstance(pairs, list) else "some"
        yield Fact(
            kind="gpu.peers_apart",
            text=f"GPUs {some} reach each other with {speed} GB/s directly, with {other} GB/s by the host",
            data={"reason": "slower"},
            events=[event],
        )


def hangs(evidence: Evidence) -> bool:
    """Whether ranks wait, or nothing at all is told of what failed."""
    waits = any(evidence.of("nccl.watchdog_timed_out", "job.stalled"))
    return waits or all(event.kind in QUIET for event in evidence.events)


def redirected(found: list[Event]) -> Iterable[Fact]:
    """That peers' accesses may be sent up to the root of the bus says something where ranks hang."""
    if found:
        yield Fact(
            kind="gpu.peers_apart",
            text=f"what GPUs send to each other may not go directly: {found[0].data.get('text')}",
            data={"reason": "redirected"},
            events=found[:4],
            inferred=True,
        )


def misfitted(how: str, found: list[Saying]) -> Iterable[Fact]:
    if found:
        data = found[0][1]
        words = str(data.get("text") or f"{data.get('call')} failed: {data.get('reason')}")
        if data.get("adapter"):
            words += f", on {data['adapter']}"
        yield Fact(
            kind="net.misfitted",
            text=f"NCCL on {who(found)}: {words}",
            data={"how": how},
            since=first(found),
            events=[event for event, _ in found][:4],
        )


def differing(chosen: list[Event]) -> Iterable[Fact]:
    """Processes of one job that send over different networks; each by what it chose last."""
    last = {(e.data.get("host"), e.data.get("pid"), e.data.get("device")): e for e in chosen}
    networks = Counter(str(event.data.get("network")) for event in last.values())
    if len(networks) < 2:
        return
    usual = networks.most_common(1)[0][0]
    odd = [event for event in last.values() if event.data.get("network") != usual]
    sides = ", ".join(f"{name} by {num}" for name, num in networks.most_common())
    yield Fact(
        kind="net.misfitted",
        text=f"processes of one job chose different networks: {sides}",
        data={"how": "networks_differ"},
        events=[*odd[:3], *[event for event in last.values() if event not in odd][:1]],
    )


def hosts(found: list[Saying]) -> list[str]:
    return sorted({host for event, _ in found if isinstance(host := event.data.get("host"), str)})


def who(found: list[Saying]) -> str:
    return reporters((event for event, _ in found), ", ".join(hosts(found)[:4]) or "some rank")


def first(found: list[Saying]) -> float | None:
    return earliest(event for event, _ in found)

"""Faults of GPUs by the driver's codes, by its other words, by CUDA's and by a platform's. One for each GPU and code.

A program's bad access counts where no hardware failed: a fault of memory or of a link may look like one from inside.
"""  # noqa: E501

from collections.abc import Iterable

from diagnose.gpu_words import Told, all_told, beside, buses, pids, rank_of
from diagnose.model import Evidence, Fact, FactKind, earliest, named

NEEDS = ("kernel_log", "platform_log", "gpu_report", "gpu_topology")
KINDS = {
    "gpu.faulted": FactKind(
        "a GPU, its link or its driver failed, or a program's use of it; data: fault (bus, memory, board, "
        "firmware, fabric, application, peer, cleanup), code, gpu, by, noted (accuses nobody), alone (no "
        "fault of hardware beside it)",
        NEEDS,
    ),
}
WORDS = {
    "bus": "cannot be reached any more",
    "memory": "has an uncorrectable memory error",
    "board": "failed",
    "firmware": "has firmware that does not answer",
    "fabric": "has a failed NVLink or fabric",
    "application": "stopped a program's bad access",
    "peer": "saw another GPU's fault",
    "cleanup": "cleaned up after something else",
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    told, known, places = all_told(evidence), pids(evidence), buses(evidence)
    groups: dict[tuple[str, str, int | None, int | None, str], list[Told]] = {}
    for one in sorted(told, key=lambda one: one.code is None):  # a code says most
        rank = rank_of(one.event, evidence.nodes, known, places)
        groups.setdefault((one.fault, one.gpu, one.code, rank, one.event.kind), []).append(one)
    for (fault, gpu, code, rank, _), group in groups.items():
        first = group[0]
        name = str(first.event.data.get("gpu") or gpu)  # its UUID, where that is told
        whose = f"the GPU {name}" if name else "a GPU"
        if rank is not None:
            whose = named([rank]) if name == gpu else f"{named([rank])}, on {name},"
        meaning = f": Xid {code}, {first.meaning}" if code is not None else f": {first.meaning}"
        yield Fact(
            kind="gpu.faulted",
            text=f"{whose} {WORDS[fault]}{meaning}"[:400],
            ranks=[] if rank is None else [rank],
            nodes=nodes(group),
            data={
                "fault": fault,
                "code": code,
                "gpu": gpu,
                "by": first.event.source,
                "noted": all(one.noted for one in group),
                "alone": not beside(gpu, told),
            },
            since=earliest(one.event for one in group),
            events=[one.event for one in group[:4]],
            inferred=all(one.inferred for one in group),
        )


def nodes(group: list[Told]) -> list[str]:
    return sorted({one.event.node for one in group if one.event.node})

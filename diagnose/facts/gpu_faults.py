"""Faults of GPUs by the driver's codes, by its other words, by CUDA's and by a platform's. One for each GPU and code.

A code that only follows from another accuses the other. A program's bad access counts where no hardware failed: a
fault of memory or of a link may look like one from inside.
"""  # noqa: E501

import re
from collections.abc import Iterable

from diagnose.endings import ended, number
from diagnose.model import Event, Evidence, Fact, FactKind, Record, named
from diagnose.xids import ACCUSES_NOBODY, catalogue

NEEDS = ("kernel_log", "platform_log", "gpu_report")
KINDS = {
    "gpu.faulted": FactKind(
        "a GPU, its link or its driver failed, or a program's use of it; data: fault (bus, memory, board, "
        "firmware, fabric, application, peer, cleanup), code, gpu, by, noted (accuses nobody), alone (no "
        "fault of hardware beside it)",
        NEEDS,
    ),
}
HARD = {"bus", "memory", "board", "firmware", "fabric"}
NONFATAL = re.compile(r"\bNon-?fatal\b", re.IGNORECASE)
FATAL = re.compile(r"\bFatal\b", re.IGNORECASE)
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


class Told(Record, frozen=True):
    """One source's word on one fault."""

    fault: str
    event: Event
    code: int | None = None
    noted: bool = False
    inferred: bool = False
    meaning: str = ""

    @property
    def gpu(self) -> str:
        """The device, as far as it is known."""
        return str(self.event.data.get("bus") or self.event.data.get("gpu") or "")


def derive(evidence: Evidence) -> Iterable[Fact]:
    told = [one for event in evidence.events for one in faults(event)]
    hard = [one for one in told if one.fault in HARD and not one.noted]
    pids = {end.pid: end.rank for end in ended(evidence).values() if end.pid is not None}
    groups: dict[tuple[str, str, int | None, int | None], list[Told]] = {}
    for one in told:
        rank = rank_of(one.event, pids)
        groups.setdefault((one.fault, one.gpu, one.code, rank), []).append(one)
    for (fault, gpu, code, rank), group in groups.items():
        first = group[0]
        beside = [one for one in hard if not one.gpu or not gpu or one.gpu == gpu or one.fault == "fabric"]
        whose = named([rank]) if rank is not None else f"the GPU {gpu}" if gpu else "a GPU"
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
                "alone": not beside,
            },
            since=min((one.event.time for one in group if one.event.time is not None), default=None),
            events=[one.event for one in group[:4]],
            inferred=all(one.inferred for one in group),
        )


def nodes(group: list[Told]) -> list[str]:
    return sorted({one.event.node for one in group if one.event.node})


def rank_of(event: Event, pids: dict[int, int]) -> int | None:
    """Whose device it is: the rank that said so, or the one whose process the driver names."""
    if event.rank is not None:
        return event.rank
    writer, pid = number(event.data.get("group_rank")), number(event.data.get("pid"))
    return writer if writer is not None else pids.get(pid) if pid is not None else None


def faults(event: Event) -> Iterable[Told]:
    """What one event says has failed."""
    text = str(event.data.get("text", ""))
    if event.kind == "gpu.xid":
        yield from coded(event, text)
    elif event.kind == "gpu.sxid":
        yield Told("fabric", event, noted=not FATAL.search(text) or bool(NONFATAL.search(text)), meaning=text)
    elif event.kind == "gpu.lost":
        yield Told("bus", event, meaning=text)
    elif event.kind == "gpu.fabric_refused":
        yield Told("fabric", event, meaning=text)
    elif event.kind == "gpu.init_failed":
        yield Told("board", event, meaning=text)
    elif event.kind == "gpu.ecc_told":
        yield Told("memory", event, meaning=text)
    elif event.kind == "device.failed":
        yield Told(
            str(event.data.get("fault")), event, meaning=text, inferred=event.data.get("fault") == "board"
        )


def coded(event: Event, text: str) -> Iterable[Told]:
    """What the driver's code means, and the code that it follows from, whose own line may be lost."""
    code, previous = number(event.data.get("code")), number(event.data.get("previous"))
    known = catalogue().get(-1 if code is None else code)
    if known and known.fault:
        told = Told(
            known.fault,
            event,
            code=code,
            noted=known.action in ACCUSES_NOBODY
            or (known.action == "look-at-companion" and known.fault in HARD)
            or (known.graded and (not FATAL.search(text) or bool(NONFATAL.search(text)))),
            meaning=f"{known.meaning} ({text[:160]})" if text else known.meaning,
        )
        yield told
    before = catalogue().get(-1 if previous is None else previous)
    if before and before.fault and not before.never_root:
        quoted = f"{before.meaning} (its own line is not here; {text[:120]})"
        yield Told(before.fault, event, code=previous, inferred=True, meaning=quoted)

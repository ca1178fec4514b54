"""What the driver, CUDA and platforms say of GPUs that fail: one word each on one device. Pure.

A code that only follows from another accuses the other.
"""

import re
from collections.abc import Iterable, Mapping

from diagnose.endings import ended
from diagnose.model import Event, Evidence, Record, integer
from diagnose.xids import ACCUSES_NOBODY, catalogue

HARD = {"bus", "memory", "board", "firmware", "fabric"}
PORTS = {None, "amdgpu", "pcieport"}  # a port names itself for what is behind it
BUS_ID = re.compile(r"[0-9a-f]{4,16}")
NONFATAL = re.compile(r"\bNon-?fatal\b", re.IGNORECASE)
FATAL = re.compile(r"\bFatal\b", re.IGNORECASE)


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


def all_told(evidence: Evidence) -> list[Told]:
    return [one for event in evidence.events for one in faults(event)]


def beside(gpu: str, told: Iterable[Told]) -> list[Told]:
    """Faults of hardware on the same device, or on one that is not known."""
    hard = (one for one in told if one.fault in HARD and not one.noted)
    return [one for one in hard if not one.gpu or not gpu or one.gpu == gpu or one.fault == "fabric"]


def pids(evidence: Evidence) -> dict[int, int]:
    """Process -> rank, of those whose end was seen."""
    return {end.pid: end.rank for end in ended(evidence).values() if end.pid is not None}


def buses(evidence: Evidence) -> dict[str, set[int]]:
    """A device's place -> the ranks that NCCL says are on it: nodes count alike."""
    found: dict[str, set[int]] = {}
    for event in evidence.of("nccl.comm_inited"):
        if event.rank is not None and (place := place_of(str(event.data.get("device_id")))):
            found.setdefault(place, set()).add(event.rank)
    return found


def place_of(bus_id: str) -> str:
    """NCCL's number of a device as the driver writes it.

    >>> place_of("4b000"), place_of("101b000"), place_of("None")
    ('0000:4b:00', '0010:1b:00', '')
    """
    if not BUS_ID.fullmatch(bus_id):
        return ""
    value = int(bus_id, 16)
    return f"{value >> 20:04x}:{value >> 12 & 0xFF:02x}:{value >> 4 & 0xFF:02x}"


def rank_of(
    event: Event, nodes: Mapping[int, str], pids: Mapping[int, int], buses: Mapping[str, set[int]] = {}
) -> int | None:
    """Whose device it is: the rank that said so, the one whose process the driver names, or that is on it.

    `nodes`: of each rank. A pid that a platform passes on is the host's: it is no process of a container.
    """
    if event.rank is not None:
        return event.rank
    writer, pid = integer(event.data.get("group_rank")), integer(event.data.get("pid"))
    if writer is not None:
        return writer
    known = pids.get(pid) if pid is not None and event.source != "platform_log" else None
    if known is not None and may_be_of(known, event, nodes):
        return known
    there = [rank for rank in buses.get(str(event.data.get("bus")), ()) if may_be_of(rank, event, nodes)]
    return there[0] if len(there) == 1 else None


def may_be_of(rank: int, event: Event, nodes: Mapping[int, str]) -> bool:
    """Whether a rank may be where an event is from; a host may have another name than its containers."""
    return event.node not in nodes.values() or nodes.get(rank, event.node) == event.node


FAULTS = {
    "gpu.lost": "bus",
    "gpu.fabric_refused": "fabric",
    "gpu.init_failed": "board",
    "gpu.firmware_silent": "firmware",
    "gpu.ecc_told": "memory",
    "gpu.unlinked": "fabric",
}


def faults(event: Event) -> Iterable[Told]:
    """What one event says has failed."""
    text = str(event.data.get("text", ""))
    if event.kind in FAULTS:
        yield Told(FAULTS[event.kind], event, meaning=text, inferred=event.kind == "gpu.unlinked")
    elif event.kind == "gpu.xid":
        yield from coded(event, text)
    elif event.kind == "gpu.sxid":
        yield Told("fabric", event, noted=not is_fatal(text), meaning=text)
    elif event.kind == "pcie.failed":
        yield from of_bus(event, text)
    elif event.kind == "device.failed":
        fault = str(event.data.get("fault"))
        yield Told(fault, event, meaning=text, inferred=fault == "board")


def of_bus(event: Event, text: str) -> Iterable[Told]:
    """What an error of the bus says of a GPU; of a port or a device without a name only a fatal one does."""
    driver = event.data.get("driver")
    if driver == "nvidia":
        yield Told("bus", event, noted=not is_fatal(text), meaning=f"an error of its bus ({text})")
    elif driver in PORTS and is_fatal(text):
        yield Told("bus", event, meaning=text, inferred=True)


def is_fatal(text: str) -> bool:
    """Whether a line says of its own error that it is fatal.

    >>> is_fatal("severity=Uncorrected (Fatal), type=Transaction Layer"), is_fatal("Nonfatal XC0 i0 Link 08")
    (True, False)
    """
    return bool(FATAL.search(text)) and not NONFATAL.search(text)


def coded(event: Event, text: str) -> Iterable[Told]:
    """What the driver's code means, and the code that it follows from, whose own line may be lost."""
    code, previous = integer(event.data.get("code")), integer(event.data.get("previous"))
    known = catalogue().get(-1 if code is None else code)
    if known and known.fault:
        told = Told(
            known.fault,
            event,
            code=code,
            noted=known.action in ACCUSES_NOBODY
            or (known.action == "look-at-companion" and known.fault in HARD)
            or (known.graded and not is_fatal(text)),
            meaning=f"{known.meaning} ({text[:160]})" if text else known.meaning,
        )
        yield told
    before = catalogue().get(-1 if previous is None else previous)
    if before and before.fault and not before.never_root:
        quoted = f"{before.meaning} (its own line is not here; {text[:120]})"
        yield Told(before.fault, event, code=previous, inferred=True, meaning=quoted)

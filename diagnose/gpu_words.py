"""What the driver, CUDA and platforms say of GPUs that fail: one word each on one device. Pure.

A code that only follows from another accuses the other.
"""

import re
from collections.abc import Iterable

from diagnose.endings import ended, number
from diagnose.model import Event, Evidence, Record
from diagnose.xids import ACCUSES_NOBODY, catalogue

HARD = {"bus", "memory", "board", "firmware", "fabric"}
PORTS = {None, "amdgpu", "pcieport"}  # a port names itself for what is behind it
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


def rank_of(event: Event, pids: dict[int, int]) -> int | None:
    """Whose device it is: the rank that said so, or the one whose process the driver names."""
    if event.rank is not None:
        return event.rank
    writer, pid = number(event.data.get("group_rank")), number(event.data.get("pid"))
    return writer if writer is not None else pids.get(pid) if pid is not None else None


FAULTS = {
    "gpu.lost": "bus",
    "gpu.fabric_refused": "fabric",
    "gpu.init_failed": "board",
    "gpu.firmware_silent": "firmware",
    "gpu.ecc_told": "memory",
}


def faults(event: Event) -> Iterable[Told]:
    """What one event says has failed."""
    text = str(event.data.get("text", ""))
    if event.kind in FAULTS:
        yield Told(FAULTS[event.kind], event, meaning=text)
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
    code, previous = number(event.data.get("code")), number(event.data.get("previous"))
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

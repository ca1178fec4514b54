"""Whether PCIe sends traffic between devices up to the CPU: access control (ACS), or an IOMMU."""

import os
from collections.abc import Iterator

from probes.checking import machine
from probes.checking.check import Measurement, Target, measured, skipped
from probes.nvml import reading

CHECK = reading.OF_PAIRS
ACS = 0x000D  # the extended capability
REDIRECTS = 0x04 | 0x08  # P2P request, P2P completion
SYS = "/sys/bus/pci/devices"


def measure(target: Target) -> list[Measurement]:
    asked, found = reading.answers(target), list[Measurement]()
    if silent := reading.silence(asked):
        return silent
    for gpu in asked.gpus:
        bus = (asked.of("pci", gpu) or {}).get("bus", "")
        where = os.path.join(machine.top() + SYS, bus[-12:])
        if not bus or not os.path.exists(where):
            found.append(skipped(f"gpu {gpu}", where, "no PCI tree here"))
            continue
        acs = [control(path) for path in bridges(where)]
        known = [value for value in acs if value is not None]
        links = asked.of("links", gpu) or {}
        found.append(
            measured(
                f"gpu {gpu}",
                where,
                num_bridges=len(acs),
                num_redirecting=sum(bool(value & REDIRECTS) for value in known) if known or not acs else None,
                has_iommu=os.path.exists(os.path.join(where, "iommu_group")),
                has_nvlinks=bool(links.get("num_active")),
            )
        )
    return found


def bridges(path: str) -> Iterator[str]:
    """The bridges above a device, from it to the root."""
    parts = os.path.realpath(path).split("/")
    for end in range(len(parts) - 1, 0, -1):
        if parts[end - 1].count(":") != 2:
            return
        yield "/".join(parts[:end])


def control(path: str) -> int | None:
    """A bridge's access control register; 0: it has none; None: it cannot be read (without root)."""
    try:
        with open(os.path.join(path, "config"), "rb") as file:
            space = file.read(4096)
    except OSError:
        return None
    if len(space) <= 256:
        return None
    at = 0x100
    for _ in range(64):  # a damaged list may go round
        head = int.from_bytes(space[at : at + 4], "little")
        if head & 0xFFFF == ACS:
            return int.from_bytes(space[at + 6 : at + 8], "little")
        at = head >> 20
        if at < 0x100:
            return 0
    return None

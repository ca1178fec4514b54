"""Xids in the kernel's log, with the PCI address of the GPU that each is about."""

import os
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

from probes import kmsg

XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]{4,20})\): (\d{1,4})\b")
LOST = re.compile(
    r"NVRM: (?:The NVIDIA )?GPU (?:at )?(?:PCI:)?([0-9A-Fa-f:.]{4,20}).{0,40}fallen off the bus"
)
MOST_RECORDS = 20_000
OFF_THE_BUS = 79  # also without a code


class Line(NamedTuple):
    bus: str
    code: int
    age_s: float


def xids(device: str) -> tuple[list[Line], str]:
    """Those that `/dev/kmsg` still has, the last for each GPU and code; or why it cannot be read."""
    found: dict[tuple[str, int], Line] = {}
    try:
        with os.fdopen(kmsg.opened(device), "rb", buffering=0) as file:
            for record in kmsg.records(file.fileno(), MOST_RECORDS):
                for text in record.decode(errors="replace").splitlines():
                    if line := parse(text, time.monotonic()):
                        found[line.bus, line.code] = line
    except OSError as error:
        return [], error.strerror or str(error)
    return list(found.values()), ""


def parse(record: str, now: float) -> Line | None:
    """One record: its third field is microseconds since boot.

    >>> parse("4,9,5000000,-;NVRM: Xid (PCI:0000:53:00): 79, pid=7, GPU has fallen off the bus.", 25.0)
    Line(bus='0000:53:00', code=79, age_s=20.0)
    >>> parse("6,9,5000000,-;usb 1-1: new device", 25.0)
    """
    head, _, text = record.partition(";")
    fields = head.split(",")
    age_s = round(now - int(fields[2]) / 1e6, 1) if len(fields) > 2 and fields[2].isdigit() else 0.0
    if told := XID.search(text):
        return Line(told[1].lower(), int(told[2]), age_s)
    if told := LOST.search(text):
        return Line(told[1].lower().rstrip(":"), OFF_THE_BUS, age_s)
    return None


def same_bus(bus: str, gpus: Mapping[str, int]) -> int | None:
    """The GPU with this address; a domain may have four digits or eight, and the function may be missing.

    >>> same_bus("0000:53:00", {"00000000:53:00.0": 3})
    3
    """

    def plain(address: str) -> str:
        domain, _, rest = address.partition(":")
        return f"{domain.lstrip('0') or '0'}:{rest.partition('.')[0]}"

    return next((gpu for known, gpu in gpus.items() if plain(known) == plain(bus)), None)

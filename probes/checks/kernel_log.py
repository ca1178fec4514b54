"""Whether the kernel's log can be read: without it, no Xid and no kill in it means nothing."""

import os

from probes import kmsg
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check()
NUM_RECORDS = 50


def measure(target: Target) -> list[Measurement]:
    text, where, refusal = b"", kmsg.DEVICE, ""
    try:
        text = first(kmsg.DEVICE)
    except OSError:
        where = f"{kmsg.DEVICE}, syslog(2)"
        try:
            text = kmsg.ring()
        except OSError as error:
            refusal = error.strerror or str(error)
    return [measured("host", where, refusal=refusal, is_empty=not text, is_gvisor=kmsg.FICTION in text)]


def first(device: str) -> bytes:
    """The first records. Raises OSError."""
    with os.fdopen(kmsg.opened(device), "rb", buffering=0) as file:
        return b"".join(kmsg.records(file.fileno(), NUM_RECORDS))

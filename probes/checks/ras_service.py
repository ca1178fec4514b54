"""Whether NCCL's RAS service will be there to ask when ranks fall silent."""

import socket

from probes.checking import nccl_found
from probes.checking.check import Measurement, Target, measured, skipped

CHECK = nccl_found.CHECK
ADDRESS = "localhost:28028"


def measure(target: Target) -> list[Measurement]:
    """Before the job starts nobody may listen there: who does is another job's."""
    address = target.environ.get("NCCL_RAS_ADDR") or ADDRESS
    found, where = nccl_found.of(target), f"ncclGetVersion, connect to {address}"
    if found.why_not:
        return [skipped("host", where, found.why_not)]
    return [
        measured(
            "host",
            where,
            number=found.number,
            is_on=target.environ.get("NCCL_RAS_ENABLE", "1") != "0",
            is_taken=answers(address),
        )
    ]


def answers(address: str) -> bool | None:
    """Whether somebody listens there; None for what is no address."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return None
    try:
        with socket.create_connection((host.strip("[]") or "localhost", int(port)), 2.0):
            return True
    except (OSError, OverflowError):
        return False

"""Whether links of RDMA ports went down or read wrong bits, so far and while we look."""

import time

from probes.checking import rdma
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 75.0, needs=("rdma",))
WINDOW_S = {"default": 2.0, "deep": 60.0}
COUNTERS = {
    "num_downed": "link_downed",
    "num_symbol_errors": "symbol_error",
    "num_recoveries": "link_error_recovery",
}


def measure(target: Target) -> list[Measurement]:
    found = list(rdma.ports(target.environ))
    before = {port: read(port) for port in found}
    if not any(value is not None for one in before.values() for value in one.values()):
        return [skipped(str(port), f"{port.folder}/counters", "no counters are told") for port in found]
    window = WINDOW_S.get(target.level, WINDOW_S["default"])
    time.sleep(window)
    return [of(port, before[port], read(port), window) for port in found]


def read(port: rdma.Port) -> dict[str, int | None]:
    return {name: port.num(f"counters/{file}") for name, file in COUNTERS.items()}


def of(
    port: rdma.Port, before: dict[str, int | None], after: dict[str, int | None], window: float
) -> Measurement:
    risen = {f"{name}_now": rise(before[name], after[name]) for name in COUNTERS}
    return measured(str(port), f"{port.folder}/counters", **after, **risen, window_s=window)


def rise(before: int | None, after: int | None) -> int | None:
    """
    >>> rise(3, 5), rise(None, 5)
    (2, None)
    """
    return None if before is None or after is None else max(0, after - before)

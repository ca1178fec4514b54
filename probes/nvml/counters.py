"""Counters read twice with a wait between, in which NVML tells of Xids: what has changed meanwhile."""

import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from probes.nvml.answering import Question, maybe
from probes.nvml.links import MOST_LINKS
from probes.nvml.questions import field, pci, pcie

XID = 0x8  # nvmlEventTypeXidCriticalError
LINK_ERRORS = {"replays": 0, "recoveries": 1, "crc_flit": 2, "crc_data": 3}  # NVML_NVLINK_ERROR_DL_*
LINK_FIELDS = {  # NVLink 5: NVML_FI_DEV_NVLINK_COUNT_*
    "recoveries": 215,
    "failed_recoveries": 214,
    "symbol_errors": 221,
    "effective_errors": 219,
    "receive_errors": 208,
}
MOST_EVENTS = 64
before: dict[int, dict[str, Any]] = {}  # lives in the child that asks
began: list[float] = []


def over(between_s: float) -> Mapping[str, Question]:
    """Asked of the whole machine: read every counter, then wait for events until the time is over."""

    def wait(n: ModuleType, _: Any, __: int) -> list[dict[str, Any]]:
        found = {num: maybe(n.nvmlDeviceGetHandleByIndex, num) for num in range(n.nvmlDeviceGetCount())}
        gpus = {num: handle for num, handle in found.items() if handle is not None}
        listener = listen(n, gpus)
        for num, handle in gpus.items():
            before[num] = read(n, handle)
        began.append(time.monotonic())
        return heard(n, listener, gpus, between_s)

    return {"events": wait}


def listen(n: ModuleType, gpus: Mapping[int, Any]) -> Any:
    """An event set that every GPU tells its Xids to. Raises NVMLError where none of them can."""
    listener, refusals = n.nvmlEventSetCreate(), list[Exception]()
    for handle in gpus.values():
        try:
            n.nvmlDeviceRegisterEvents(handle, XID, listener)
        except n.NVMLError as error:
            refusals.append(error)
    if refusals and len(refusals) == len(gpus):
        raise refusals[0]
    return listener


def heard(n: ModuleType, listener: Any, gpus: Mapping[int, Any], limit_s: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    end = time.monotonic() + limit_s
    while (left := end - time.monotonic()) > 0 and len(found) < MOST_EVENTS:
        try:
            event = n.nvmlEventSetWait(listener, int(left * 1000) + 1)
        except n.NVMLError as error:
            if error.value != n.NVML_ERROR_TIMEOUT:
                raise
            break
        uuid = maybe(n.nvmlDeviceGetUUID, event.device)
        mine = [num for num, handle in gpus.items() if maybe(n.nvmlDeviceGetUUID, handle) == uuid]
        found.append({"gpu": mine[0] if mine else None, "xid": int(event.eventData)})
    time.sleep(max(0.0, end - time.monotonic()))
    return found


def read(n: ModuleType, handle: Any) -> dict[str, Any]:
    """Every counter of one GPU; None where it has none."""
    thermal = maybe(n.nvmlDeviceGetViolationStatus, handle, n.NVML_PERF_POLICY_THERMAL)
    corrected = maybe(n.nvmlDeviceGetTotalEccErrors, handle, 0, 0)
    return {
        "corrected_errors": corrected,
        "replays": maybe(n.nvmlDeviceGetPcieReplayCounter, handle),
        "thermal_ns": thermal.violationTime if thermal else None,
        "links": links(n, handle),
    }


def links(n: ModuleType, handle: Any) -> dict[str, int]:
    """Errors of all links together, by kind; kinds that no link has are left out."""
    found: dict[str, int] = {}
    for link in range(MOST_LINKS):
        if not maybe(n.nvmlDeviceGetNvLinkState, handle, link):
            continue
        told = {
            name: maybe(n.nvmlDeviceGetNvLinkErrorCounter, handle, link, kind)
            for name, kind in LINK_ERRORS.items()
        }
        if all(value is None for value in told.values()):
            told = {name: maybe(field, n, handle, number, link) for name, number in LINK_FIELDS.items()}
        for name, value in told.items():
            if value is not None:
                found[name] = found.get(name, 0) + value
    return found


def changed(n: ModuleType, handle: Any, gpu: int) -> dict[str, Any]:
    """How much each counter has risen, and in how many seconds."""
    if gpu not in before:
        raise LookupError("the first reading went with a process that hung")
    then, now = before[gpu], read(n, handle)
    return {
        "interval_s": round(time.monotonic() - began[0], 3),
        **{name: rise(then[name], now[name]) for name in ("corrected_errors", "replays", "thermal_ns")},
        "links": {name: rise(then["links"].get(name), value) for name, value in now["links"].items()},
        "pcie": maybe(pcie, n, handle, gpu),
    }


def rise(then: int | None, now: int | None) -> int | None:
    """Never below zero: a reset in between begins again.

    >>> rise(5, 7), rise(7, 5), rise(None, 5)
    (2, 5, None)
    """
    if then is None or now is None:
        return None
    return now - then if now >= then else now


AFTER: Mapping[str, Question] = {"changed": changed, "pci": pci}

"""What NVML answers here, field by field: a sandbox lets some calls through and not others."""

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from probes.offered.item import Item

Ask = Callable[[Any, Any], Any]

_FIELDS: dict[str, Ask] = {  # of the first GPU
    "name": lambda n, g: n.nvmlDeviceGetName(g),
    "uuid": lambda n, g: n.nvmlDeviceGetUUID(g),
    "bus": lambda n, g: n.nvmlDeviceGetPciInfo(g).busId,
    "memory": lambda n, g: n.nvmlDeviceGetMemoryInfo(g).total,
    "utilization": lambda n, g: n.nvmlDeviceGetUtilizationRates(g).gpu,
    "utilization_samples": lambda n, g: len(n.nvmlDeviceGetSamples(g, n.NVML_GPU_UTILIZATION_SAMPLES, 0)[1]),
    "temperature": lambda n, g: n.nvmlDeviceGetTemperature(g, n.NVML_TEMPERATURE_GPU),
    "power": lambda n, g: n.nvmlDeviceGetPowerUsage(g),
    "performance_state": lambda n, g: n.nvmlDeviceGetPerformanceState(g),
    "clocks": lambda n, g: n.nvmlDeviceGetClockInfo(g, n.NVML_CLOCK_SM),
    "throttle_reasons": lambda n, g: n.nvmlDeviceGetCurrentClocksThrottleReasons(g),
    "ecc_mode": lambda n, g: n.nvmlDeviceGetEccMode(g),
    "ecc_errors": lambda n, g: n.nvmlDeviceGetTotalEccErrors(g, 1, 0),
    "row_remaps": lambda n, g: n.nvmlDeviceGetRemappedRows(g),
    "retired_pages": lambda n, g: len(n.nvmlDeviceGetRetiredPages(g, 0)),
    "pcie_width": lambda n, g: n.nvmlDeviceGetCurrPcieLinkWidth(g),
    "pcie_replays": lambda n, g: n.nvmlDeviceGetPcieReplayCounter(g),
    "nvlink_state": lambda n, g: n.nvmlDeviceGetNvLinkState(g, 0),
    "nvlink_errors": lambda n, g: n.nvmlDeviceGetNvLinkErrorCounter(g, 0, 0),
    "fabric": lambda n, g: n.nvmlDeviceGetGpuFabricInfo(g).state,
    "p2p": lambda n, g: n.nvmlDeviceGetP2PStatus(g, n.nvmlDeviceGetHandleByIndex(1), 0),
    "processes": lambda n, g: [p.pid for p in n.nvmlDeviceGetComputeRunningProcesses(g)][:64],
    "xid_events": lambda n, g: n.nvmlDeviceRegisterEvents(
        g, n.nvmlEventTypeXidCriticalError, n.nvmlEventSetCreate()
    ),
}


def items() -> Iterator[Item]:
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except ImportError:
        yield Item("nvml", "absent", reason="pynvml is not installed")
        return
    except Exception as error:  # NVML's own: the library or the driver is not there, or refuses
        yield Item("nvml", "absent", reason=str(error))
        return
    yield asked("nvml", lambda: nvml.nvmlSystemGetDriverVersion())
    yield asked("nvml.gpus", lambda: nvml.nvmlDeviceGetCount())
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(0)
    except Exception as error:
        yield Item("nvml.gpu", "absent", reason=str(error))
        return
    for name, ask in _FIELDS.items():
        yield asked(f"nvml.{name}", partial(ask, nvml, gpu))


def asked(name: str, ask: Callable[[], Any]) -> Item:
    """One answer; NVML's refusal by its own name for it."""
    try:
        value = ask()
    except Exception as error:
        return Item(name, "refused", reason=str(error) or type(error).__name__)
    return Item(name, "present", value.decode(errors="replace") if isinstance(value, bytes) else value)

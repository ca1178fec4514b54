"""What each GPU is asked: a name, and what to call. Values carry their units in their names."""

from types import ModuleType
from typing import Any

from probes.nvml.answering import Question, maybe
from probes.nvml.links import bus_id, links, pairs

SRAM, DRAM = 7, 2  # NVML_MEMORY_LOCATION_*
CORRECTED, UNCORRECTED = 0, 1
VOLATILE, AGGREGATE = 0, 1
RECOVERY_ACTION = 230  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
MEMORY_TEMPERATURE = 82  # NVML_FI_DEV_MEMORY_TEMP
ACTIONS = (
    "none",
    "gpu_reset",
    "node_reboot",
    "drain_p2p",
    "drain_and_reset",
    "recover_imex",
    "bus_reset",
    "reboot",
)
MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")
STATES = ("not_supported", "not_started", "in_progress", "completed")
SUMMARIES = ("not_supported", "healthy", "unhealthy", "limited_capacity")


def word(words: tuple[str, ...], number: int) -> str:
    return words[number] if 0 <= number < len(words) else str(number)


def field(n: ModuleType, handle: Any, number: int, scope: int = 0) -> int:
    """One field value, as a whole number. Raises NVMLError."""
    [value] = n.nvmlDeviceGetFieldValues(handle, [(number, scope)])
    if value.nvmlReturn:
        raise n.NVMLError(value.nvmlReturn)
    kinds = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal"}
    return int(getattr(value.value, kinds.get(value.valueType, "ullVal")))


def pci(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    return {"bus": bus_id(n.nvmlDeviceGetPciInfo(handle))}


def ecc(n: ModuleType, handle: Any, kind: int, counter: int) -> dict[str, Any]:
    return {
        "num_errors": n.nvmlDeviceGetTotalEccErrors(handle, kind, counter),
        "num_sram": maybe(n.nvmlDeviceGetMemoryErrorCounter, handle, kind, counter, SRAM),
        "num_dram": maybe(n.nvmlDeviceGetMemoryErrorCounter, handle, kind, counter, DRAM),
    }


def ecc_aggregate(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    def over() -> bool:
        status = n.c_nvmlEccSramErrorStatus_v1_t()
        n.nvmlDeviceGetSramEccErrorStatus(handle, n.byref(status))
        return bool(status.bThresholdExceeded)

    found = ecc(n, handle, UNCORRECTED, AGGREGATE)
    is_over = maybe(over)
    return {**found, "has_sram_limit": is_over is not None, "is_over_sram_limit": is_over}


def rows(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    corrected, uncorrected, pending, failed = n.nvmlDeviceGetRemappedRows(handle)
    return {
        "num_corrected": corrected,
        "num_uncorrected": uncorrected,
        "is_pending": bool(pending),
        "has_failed": bool(failed),
    }


def pages(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    found = [n.nvmlDeviceGetRetiredPages(handle, cause) for cause in (0, 1)]
    pending = maybe(n.nvmlDeviceGetRetiredPagesPendingStatus, handle)
    return {"num_retired": sum(map(len, found)), "is_pending": None if pending is None else bool(pending)}


def reasons(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    bits = n.nvmlDeviceGetCurrentClocksEventReasons(handle)
    return {
        "is_idle": bool(bits & 0x1),
        "sw_power_cap": bool(bits & 0x4),
        "hw_slowdown": bool(bits & 0x8),
        "sw_thermal": bool(bits & 0x20),
        "hw_thermal": bool(bits & 0x40),
        "hw_power_brake": bool(bits & 0x80),
    }


def clocks(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    sm = n.NVML_CLOCK_SM
    return {
        "sm_mhz": n.nvmlDeviceGetClockInfo(handle, sm),
        "max_sm_mhz": n.nvmlDeviceGetMaxClockInfo(handle, sm),
    }


def application_clocks(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    now = n.nvmlDeviceGetApplicationsClock(handle, n.NVML_CLOCK_GRAPHICS)
    default = n.nvmlDeviceGetDefaultApplicationsClock(handle, n.NVML_CLOCK_GRAPHICS)
    return {
        "application_mhz": now,
        "default_mhz": default,
        "share_of_default": now / default if default else None,
    }


def temperature(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    """`margin_c`: below the point where clocks are cut; newer GPUs tell it, older ones tell that point."""
    now = n.nvmlDeviceGetTemperature(handle, 0)
    slowdown = maybe(n.nvmlDeviceGetTemperatureThreshold, handle, n.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
    margin = maybe(n.nvmlDeviceGetMarginTemperature, handle)
    return {"gpu_c": now, "margin_c": margin if margin is not None else slowdown and slowdown - now}


def power(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    now, limit = n.nvmlDeviceGetPowerUsage(handle) / 1000, n.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
    use = maybe(n.nvmlDeviceGetUtilizationRates, handle)
    return {
        "draw_w": now,
        "draw_of_limit_share": now / limit if limit else None,
        "busy_share": use.gpu / 100 if use else None,
    }


def power_limit(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    now, default = (
        n.nvmlDeviceGetEnforcedPowerLimit(handle),
        n.nvmlDeviceGetPowerManagementDefaultLimit(handle),
    )
    return {
        "limit_w": now / 1000,
        "default_w": default / 1000,
        "share_of_default": now / default if default else None,
    }


def pcie(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    width, max_width = n.nvmlDeviceGetCurrPcieLinkWidth(handle), n.nvmlDeviceGetMaxPcieLinkWidth(handle)
    speed, max_speed = (
        n.nvmlDeviceGetCurrPcieLinkGeneration(handle),
        n.nvmlDeviceGetMaxPcieLinkGeneration(handle),
    )
    return {
        "width": width,
        "max_width": max_width,
        "generation": speed,
        "max_generation": max_speed,
        "num_lanes_missing": max_width - width,
        "num_generations_missing": max_speed - speed,
    }


def inforom(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    try:
        n.nvmlDeviceValidateInforom(handle)
    except n.NVMLError as error:
        if error.value != n.NVML_ERROR_CORRUPTED_INFOROM:
            raise
        return {"is_corrupt": True}
    return {"is_corrupt": False}


def gsp(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    mode = maybe(n.nvmlDeviceGetGspFirmwareMode, handle)
    return {
        "version": n.nvmlDeviceGetGspFirmwareVersion(handle),
        "is_enabled": bool(mode[0]) if mode else None,
    }


def fabric(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    """State of a GPU's part of the NVLink fabric. Of the mask, two bits each: 1 true, 2 false, 0 unknown."""
    info = n.c_nvmlGpuFabricInfo_v3_t()
    try:
        n.nvmlDeviceGetGpuFabricInfoV(handle, n.byref(info))
    except n.NVMLError as error:
        if error.value != n.NVML_ERROR_ARGUMENT_VERSION_MISMATCH:
            raise
        info = n.c_nvmlGpuFabricInfo_v2_t()  # a driver before 580 has no summary
        n.nvmlDeviceGetGpuFabricInfoV(handle, n.byref(info))
    mask = info.healthMask

    def bad(shift: int) -> bool | None:
        return {1: True, 2: False}.get(mask >> shift & 3)

    return {
        "state": word(STATES, info.state),
        "status": info.status,
        "summary": word(SUMMARIES, getattr(info, "healthSummary", 0)),
        "has_degraded_bandwidth": bad(0),
        "is_recovering_route": bad(2),
        "has_unhealthy_route": bad(4),
        "is_recovering_access": bad(6),
        "is_misconfigured": {0: None, 1: False}.get(mask >> 8 & 15, True),
    }


def processes(n: ModuleType, handle: Any, _: int) -> list[dict[str, Any]]:
    found = n.nvmlDeviceGetComputeRunningProcesses(handle)
    return [{"pid": one.pid, "used_bytes": one.usedGpuMemory} for one in found]


def mig(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    now, pending = n.nvmlDeviceGetMigMode(handle)
    return {"is_on": bool(now), "is_changing": now != pending}


def cpus(n: ModuleType, handle: Any, _: int) -> list[int]:
    words = n.nvmlDeviceGetCpuAffinity(handle, 16)
    return [num * 64 + bit for num, word in enumerate(words) for bit in range(64) if word >> bit & 1]


def ecc_mode(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    now, pending = n.nvmlDeviceGetEccMode(handle)
    return {"is_on": bool(now), "is_changing": now != pending}


def memory(n: ModuleType, handle: Any, _: int) -> dict[str, Any]:
    try:
        found = n.nvmlDeviceGetMemoryInfo(handle, n.nvmlMemory_v2)
    except n.NVMLError:  # an old driver counts what it keeps for itself as used
        found = n.nvmlDeviceGetMemoryInfo(handle)
    used = found.used
    return {
        "total_bytes": found.total,
        "used_bytes": used,
        "used_share": used / found.total if found.total else None,
    }


SYSTEM_WIDE: dict[str, Question] = {
    "driver": lambda n, _, __: n.nvmlSystemGetDriverVersion(),
    "cuda": lambda n, _, __: n.nvmlSystemGetCudaDriverVersion(),
    "confidential": lambda n, _, __: bool(n.nvmlSystemGetConfComputeState().ccFeature),
}
OF_GPU: dict[str, Question] = {
    "name": lambda n, h, _: n.nvmlDeviceGetName(h),
    "uuid": lambda n, h, _: n.nvmlDeviceGetUUID(h),
    "vbios": lambda n, h, _: n.nvmlDeviceGetVbiosVersion(h),
    "minor": lambda n, h, _: n.nvmlDeviceGetMinorNumber(h),
    "capability": lambda n, h, _: list(n.nvmlDeviceGetCudaComputeCapability(h)),
    "pci": pci,
    "memory": memory,
    "ecc_mode": ecc_mode,
    "ecc_volatile": lambda n, h, _: ecc(n, h, UNCORRECTED, VOLATILE),
    "ecc_aggregate": ecc_aggregate,
    "rows": rows,
    "pages": pages,
    "recovery": lambda n, h, _: {"action": word(ACTIONS, field(n, h, RECOVERY_ACTION))},
    "reasons": reasons,
    "clocks": clocks,
    "application_clocks": application_clocks,
    "temperature": temperature,
    "memory_temperature": lambda n, h, _: {"memory_c": field(n, h, MEMORY_TEMPERATURE)},
    "power": power,
    "power_limit": power_limit,
    "pcie": pcie,
    "persistence": lambda n, h, _: {"is_on": bool(n.nvmlDeviceGetPersistenceMode(h))},
    "inforom": inforom,
    "gsp": gsp,
    "fabric": fabric,
    "links": links,
    "processes": processes,
    "compute_mode": lambda n, h, _: {"mode": word(MODES, n.nvmlDeviceGetComputeMode(h))},
    "mig": mig,
    "cpus": cpus,
    "pairs": pairs,
}

"""Errors on NVLinks while the checks ran."""

from typing import Any

from probes.checking.check import Measurement, Target, Value, skipped
from probes.nvml import reading

CHECK = reading.OVER_TIME
RECOVERED = ("recoveries", "failed_recoveries")
CRC = ("crc_flit", "crc_data")


def measure(target: Target) -> list[Measurement]:
    found = reading.of_gpus(
        reading.changes(target), "changed", "nvmlDeviceGetNvLinkErrorCounter, twice", rise
    )
    return [
        skipped(one.subject, one.where, "its links tell no errors")
        if not one.skip and one.values["num_errors"] is None
        else one
        for one in found
    ]


def rise(told: dict[str, Any]) -> dict[str, Value]:
    links, interval_s = told["links"], told["interval_s"]
    crc = sum(links.get(name) or 0 for name in CRC)
    return {
        "num_errors": sum(value or 0 for value in links.values()) if links else None,
        "num_recoveries": sum(links.get(name) or 0 for name in RECOVERED),
        "crc_per_s": crc / max(interval_s, 1.0),
        "interval_s": interval_s,
    }

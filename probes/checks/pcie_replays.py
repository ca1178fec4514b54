"""How often data had to be sent again over PCIe while the checks ran, by the bits that the link can carry."""

from typing import Any

from probes.checking.check import Value
from probes.nvml import reading

CHECK = reading.OVER_TIME
BITS_PER_S = {1: 2.5e9, 2: 5e9, 3: 8e9, 4: 16e9, 5: 32e9, 6: 64e9}  # of one lane, by generation


def rate(told: dict[str, Any]) -> dict[str, Value]:
    num, interval_s, link = told["replays"], told["interval_s"], told["pcie"] or {}
    bits = BITS_PER_S.get(link.get("generation", 0), 0.0) * link.get("width", 0) * interval_s
    return {
        "num_replays": num,
        "interval_s": interval_s,
        "replays_per_bit": num / bits if num is not None and bits else None,
    }


measure = reading.change_check("nvmlDeviceGetPcieReplayCounter, twice", rate)

"""What CUDA and NVML say when a device, its memory or its links fail, or when a rank asks for another's device.

>>> from diagnose.messages import said
>>> said("[Rank 1] NCCL watchdog thread terminated with exception: CUDA error: uncorrectable ECC error encountered", LINES)
('device.failed', {'fault': 'memory', 'text': 'uncorrectable ECC error encountered', 'group_rank': 1})
"""

# ruff: noqa: E501 (a pattern stays on one line)

import re

from diagnose.messages import Data, Pattern, group_rank
from diagnose.messages import line as any_line

EVENTS = {
    "device.failed": "CUDA or NVML says that a device failed; data: fault, text, group_rank, bus",
    "device.misnumbered": "a rank asked for a device that is not there, or used two; data: text, group_rank",
    "device.busy": "a device is in somebody else's use; data: text, group_rank",
}


def line(kind: str, fault: str, word: str, text: str) -> Pattern:
    def data(found: re.Match[str]) -> Data:
        told: Data = {"fault": fault} if fault else {}
        told["text"] = found["text"]
        if bus := found.groupdict().get("bus"):
            told["bus"] = bus
        return told | group_rank(found.string)

    return any_line(kind, word, text, data=data)


LINES = (
    *(
        line("device.failed", fault, word, rf"(?P<text>{word}{rest})")
        for fault, word, rest in (
            ("memory", "uncorrectable ECC error encountered", ""),
            ("memory", "CUDA_ERROR_ECC_UNCORRECTABLE", ""),
            ("memory", "ErrorECCUncorrectable", ""),
            ("fabric", "ncorrectable NVLink error", ".{0,80}"),
            ("fabric", "CUDA_ERROR_NVLINK_UNCORRECTABLE", ""),
            ("fabric", "Invalid access of peer GPU memory over nvlink or a hardware error", ""),
            ("fabric", "CUDA_ERROR_CONTAINED", ".{0,80}"),
            ("fabric", "system not yet initialized", ""),
            ("fabric", "CUDA_ERROR_SYSTEM_NOT_READY", ""),
            ("bus", "GPU is lost", ".{0,80}"),
            ("bus", "GPU_IS_LOST", ""),
        )
    ),
    line("device.failed", "board", "CUDA error: unknown error", r"CUDA error: (?P<text>unknown error)"),
    line("device.failed", "board", "HW Exception by GPU", r"(?P<text>HW Exception by GPU node-\d{1,3}.{0,60}reason ?: ?GPU Hang)"),
    line(
        "device.failed",
        "bus",
        "Unable to determine the device handle",
        r"(?P<text>Unable to determine the device handle for (?:GPU\s?\d{0,3}: ?|GPU ?)(?P<bus>[0-9A-Fa-f:.]{8,20})?.{0,60})",
    ),
    line("device.misnumbered", "", "invalid device ordinal", r"^(?!.{0,300}transport/)"
         r".{0,300}?(?P<text>(?:CUDA|CUDART|[Cc]uda|error=\d{1,4})\b.{0,60}invalid device ordinal)"),
    line("device.misnumbered", "", "GPUs are available", r"(?P<text>No (?:CUDA|HIP) GPUs are available)"),
    line("device.misnumbered", "", "found at least two devices", r"(?P<text>found at least two devices, cuda:\d{1,3} and cuda:\d{1,3})"),
    line("device.misnumbered", "", "located on different GPUs", r"(?P<text>arguments are located on different GPUs)"),
    line("device.misnumbered", "", "must have its parameters and buffers", r"(?P<text>parameters and buffers on device cuda:\d{1,3}"
         r".{0,40}? but found one of them on device: cuda:\d{1,3})"),
    line("device.busy", "", "occupied by other processes", r"(?P<text>GPUs may be occupied by other processes)"),
    line("device.busy", "", "busy or unavailable", r"(?P<text>devices?(?:\(s\))? (?:is/)?are busy or unavailable)"),
)  # fmt: skip

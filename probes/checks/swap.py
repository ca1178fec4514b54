"""Whether memory has been swapped out."""

from probes import procfs
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.checking.memory_words import meminfo

CHECK = Check()
MEMINFO = "/proc/meminfo"


def measure(target: Target) -> list[Measurement]:
    now = meminfo(procfs.read(MEMINFO) or b"")
    if not {"SwapTotal", "SwapFree"} <= now.keys():
        return [skipped("host", MEMINFO, "it tells of no swap")]
    total = now["SwapTotal"]
    return [measured("host", MEMINFO, size_bytes=total, used_bytes=total - now["SwapFree"])]

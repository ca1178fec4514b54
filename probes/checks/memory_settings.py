"""How the kernel hands out memory: huge pages, and what it promises beyond what there is."""

from probes import procfs
from probes.checking.check import Check, Measurement, Target, measured
from probes.checking.memory_words import meminfo

CHECK = Check()
PROMISES = "/proc/sys/vm/overcommit_memory"
TRANSPARENT = "/sys/kernel/mm/transparent_hugepage/enabled"


def measure(target: Target) -> list[Measurement]:
    mode = (procfs.read(PROMISES) or b"").strip()
    pages = (procfs.read(TRANSPARENT) or b"").decode(errors="replace")
    now = meminfo(procfs.read("/proc/meminfo") or b"")
    size = now.get("HugePages_Total", 0) * now.get("Hugepagesize", 0)
    return [
        measured(
            "host",
            f"{PROMISES}, {TRANSPARENT}, /proc/meminfo",
            overcommit=int(mode) if mode.isdigit() else None,
            transparent_huge_pages=pages.partition("[")[2].partition("]")[0] or None,
            huge_pages_bytes=size if "HugePages_Total" in now else None,
        )
    ]

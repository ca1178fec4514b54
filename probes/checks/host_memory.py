"""How much memory the job may still take on this host: of the machine, and of the control groups."""

import os

from probes import procfs
from probes.cgroup_mounts import NO_LIMIT
from probes.checking import cgroups
from probes.checking.check import Check, Measurement, Target, measured, skipped
from probes.checking.memory_words import meminfo

CHECK = Check(
    asks={
        "memory_bytes": "memory that the platform gives this container (gVisor does not tell)",
        "model_bytes": "bytes that each rank loads into host memory",
        "pinned_bytes": "bytes that each rank pins for copies and loaders",
    }
)
MEMINFO = "/proc/meminfo"


def measure(target: Target) -> list[Measurement]:
    told = target.settings.get("memory_bytes")
    if procfs.is_gvisor() and told is None:
        return [skipped("host", MEMINFO, "gVisor tells no limit: give it by --set memory_bytes=NUMBER")]
    now = meminfo(procfs.read(MEMINFO) or b"")
    if "MemAvailable" not in now:
        return [skipped("host", MEMINFO, "MemAvailable is not told")]
    limits = [] if procfs.is_gvisor() else groups()
    room = [free for _, _, free in limits] + ([int(told)] if told is not None else [])
    free = min([now["MemAvailable"], *room])
    where = next((path for path, _, one in limits if one == free), MEMINFO)
    per_rank = sum(target.settings.get(name, 0.0) for name in ("model_bytes", "pinned_bytes"))
    wanted = per_rank * target.num_ranks
    size = min([now["MemTotal"], *(limit for _, limit, _ in limits), *([int(told)] if told else [])])
    return [
        measured(
            "host",
            where,
            size_bytes=size,
            free_bytes=free,
            free_share=free / size if size else None,
            is_limited=size < now["MemTotal"],
            free_per_wanted=free / wanted if wanted else None,
        )
    ]


def groups() -> list[tuple[str, int, int]]:
    """The control groups with a limit, ours first: file, limit, what is free in it (with the page cache)."""
    found = []
    for path in cgroups.files("memory", "memory.limit_in_bytes", "memory.max"):
        limit, folder = number(path), os.path.dirname(path)
        usage = number(f"{folder}/memory.usage_in_bytes") or number(f"{folder}/memory.current") or 0
        counts = cgroups.counts(f"{folder}/memory.stat")
        cache = counts.get("total_inactive_file", counts.get("inactive_file", 0))
        if limit is not None and limit < NO_LIMIT:
            found.append((path, limit, max(0, limit - max(0, usage - cache))))
    return found


def number(path: str) -> int | None:
    text = (procfs.read(path) or b"").strip()
    return int(text) if text.isdigit() else None

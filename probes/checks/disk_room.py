"""Room and inodes where the job writes: temporary files, compile caches, its own folders."""

import os

from probes.checking import file_systems, places
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(
    told_by="file_systems_answer",
    shares=file_systems.answers,
    asks={"checkpoint_bytes": "size of one checkpoint"},
)


def measure(target: Target) -> list[Measurement]:
    """One file system once, however many folders lie in it."""
    paths, silent = file_systems.answering(places.folders(target), target)
    return [*silent, *(room(path, there, target) for path, there in places.apart(paths).items())]


def room(path: str, there: str, target: Target) -> Measurement:
    try:
        now = os.statvfs(there)
    except OSError as error:
        return skipped(path, f"statvfs({there})", error.strerror or str(error))
    free, size = now.f_bavail * now.f_frsize, now.f_blocks * now.f_frsize
    wanted = target.settings.get("checkpoint_bytes")
    return measured(
        path,
        f"statvfs({there})",
        free_bytes=free,
        size_bytes=size,
        free_share=free / size if size else None,
        free_inodes_share=now.f_favail / now.f_files if now.f_files else None,  # btrfs and others count none
        free_checkpoints=free / wanted if wanted else None,
    )

"""Room and inodes where the job writes: temporary files, compile caches, its own folders."""

import os

from probes.checking import places
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(asks={"checkpoint_bytes": "size of one checkpoint"})


def measure(target: Target) -> list[Measurement]:
    """One file system once, however many folders lie in it."""
    found: dict[int, Measurement] = {}
    for path in places.folders(target):
        there = places.nearest(path)
        try:
            device = os.stat(there).st_dev
            found.setdefault(device, room(path, there, target))
        except OSError as error:
            return [*found.values(), skipped(path, f"statvfs({there})", error.strerror or str(error))]
    return list(found.values())


def room(path: str, there: str, target: Target) -> Measurement:
    now = os.statvfs(there)
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

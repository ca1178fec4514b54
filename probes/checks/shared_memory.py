"""How large `/dev/shm` is: data loaders and NCCL's transport between processes live in it."""

import os

from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(asks={"loader_bytes": "bytes that the data loaders of all ranks hold in shared memory"})
FOLDER = "/dev/shm"
NO_SIZE = 1 << 60  # gVisor says 8 EiB


def measure(target: Target) -> list[Measurement]:
    where = f"statvfs({FOLDER})"
    try:
        now = os.statvfs(FOLDER)
    except OSError as error:
        return [skipped(FOLDER, where, error.strerror or str(error))]
    size, free = now.f_blocks * now.f_frsize, now.f_bavail * now.f_frsize
    if size >= NO_SIZE:
        return [skipped(FOLDER, where, f"{size} bytes is a placeholder, no size")]
    wanted = target.settings.get("loader_bytes")
    return [
        measured(
            FOLDER,
            where,
            size_bytes=size,
            used_bytes=size - now.f_bfree * now.f_frsize,
            free_bytes=free,
            free_per_wanted=free / wanted if wanted else None,
        )
    ]

"""Whether file systems of a network, and the folders of the job, answer at all."""

import os
import time

from probes import deadline, disks, procfs
from probes.checking.check import Check, Measurement, Target, measured

LIMIT_S = 3.0  # for one of them
CHECK = Check(limit_s=30.0)
MOST = 8


def measure(target: Target) -> list[Measurement]:
    """Each in a child: one that hangs in the kernel takes only that child with it."""
    mounts = disks.parse_mounts(procfs.read("/proc/self/mountinfo") or b"")
    remote = [one.point for one in mounts if one.is_remote]
    paths = list(dict.fromkeys([*target.folders, *remote, "/tmp"]))
    return [asked(path) for path in paths[:MOST]]


def asked(path: str) -> Measurement:
    begun = time.monotonic()
    told = deadline.call(lambda: look(path), LIMIT_S)
    took = round(time.monotonic() - begun, 3)
    where = f"stat({path}) in a child"
    if told is None:
        return measured(path, where, answers=False, limit_s=LIMIT_S)
    return measured(path, where, answers=True, answered_in_s=took, refusal=told.decode())


def look(path: str) -> bytes:
    try:
        os.stat(path)
        os.listdir(path) if os.path.isdir(path) else None
    except OSError as error:
        return (error.strerror or str(error)).encode()
    return b""

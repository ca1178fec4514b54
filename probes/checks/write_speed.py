"""How long 64 MiB take to be on disk where the job writes."""

import os
import tempfile
import time

from probes import deadline
from probes.checking import file_systems, places
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(
    "default",
    45.0,
    cost=("writes_disk",),
    told_by="file_systems_answer",
    shares=file_systems.answers,
    alone=True,
)
NUM_BYTES = 64 << 20
ROOM = 16 * NUM_BYTES
LIMIT_S, MOST = 12.0, 3


def measure(target: Target) -> list[Measurement]:
    """One file system once. The file has no name: it goes with the process that writes it."""
    paths, found = file_systems.answering(places.folders(target), target)
    for path, there in list(places.apart(paths).items())[:MOST]:
        where, now = f"64 MiB and fsync in {there}", os.statvfs(there)
        if now.f_bavail * now.f_frsize < ROOM:
            found.append(skipped(path, where, "hardly any room is left (D15)"))
        elif not os.access(there, os.W_OK):
            found.append(skipped(path, where, "it cannot be written"))
        else:
            found.append(written(path, there, where))
    return found


def written(path: str, there: str, where: str) -> Measurement:
    told = deadline.call(lambda: str(write(there)).encode(), LIMIT_S)
    if told is None:
        return measured(path, where, is_done=False, limit_s=LIMIT_S)
    took = float(told)
    return measured(path, where, is_done=True, took_s=round(took, 3), bytes_per_s=NUM_BYTES / max(took, 1e-6))


def write(folder: str) -> float:
    """Seconds. Raises OSError."""
    block = os.urandom(1 << 20)  # nothing that a file system could leave out or pack
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begun = time.monotonic()
        for _ in range(NUM_BYTES // len(block)):
            file.write(block)
        os.fsync(file.fileno())
        return time.monotonic() - begun

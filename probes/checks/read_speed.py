"""How fast what the job loads can be read, past the page cache."""

import json
import mmap
import os
import time
from collections.abc import Iterator

from probes import deadline
from probes.checking import file_systems
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(
    "default",
    45.0,
    told_by="file_systems_answer",
    shares=file_systems.answers,
    alone=True,
    asks={"model_bytes": "bytes that each rank loads into host memory"},
)
NUM_BYTES = {"default": 256 << 20, "deep": 1 << 30}
BOX_S, LIMIT_S = 5.0, 10.0
LEAST = 16 << 20  # of less, the speed says little
MOST_FILES, MOST = 20_000, 3
BLOCK = 4 << 20


def measure(target: Target) -> list[Measurement]:
    """The largest file of each folder that the job reads."""
    paths, found = file_systems.answering(target.folders[:MOST], target)
    found += [of(path, target) for path in paths]
    return found or [skipped("folders", "read", "nobody said where the job reads (--path)")]


def of(folder: str, target: Target) -> Measurement:
    most = NUM_BYTES.get(target.level, NUM_BYTES["default"])
    told = deadline.call(lambda: json.dumps(read(folder, most)).encode(), LIMIT_S)
    if told is None:
        return measured(folder, f"read of a file in {folder}", is_done=False, limit_s=LIMIT_S)
    path, num_bytes, took, is_direct = json.loads(told)
    if num_bytes < LEAST:
        return skipped(folder, "read", "no file there is large enough to measure")
    speed = num_bytes / max(took, 1e-6)
    wanted = target.settings.get("model_bytes")
    return measured(
        folder,
        f"read of {path}",
        is_done=True,
        bytes_per_s=speed,
        num_bytes=num_bytes,
        is_past_cache=is_direct,
        load_s=wanted * max(target.num_ranks, 1) / speed if wanted else None,
    )


def read(folder: str, most: int) -> tuple[str, int, float, bool]:
    """(path, bytes, seconds, past the page cache?) of the largest file. Raises OSError."""
    path = max(files(folder), default=(0, ""))[1]
    if not path:
        return "", 0, 0.0, False
    try:
        fd, is_direct = os.open(path, os.O_RDONLY | os.O_DIRECT), True
    except OSError:  # not every file system can do that
        fd, is_direct = os.open(path, os.O_RDONLY), False
    if not is_direct:
        os.posix_fadvise(fd, 0, most, os.POSIX_FADV_DONTNEED)
    buffer, done, begun = mmap.mmap(-1, BLOCK), 0, time.monotonic()
    while done < most and time.monotonic() - begun < BOX_S and (got := os.preadv(fd, [buffer], done)):
        done += got
        if got % mmap.PAGESIZE:
            break
    took = time.monotonic() - begun
    os.close(fd)
    return path, done, took, is_direct


def files(folder: str) -> Iterator[tuple[int, str]]:
    """(size, path); a path that is a file is its own folder."""
    num = 0
    if os.path.isfile(folder):
        yield os.path.getsize(folder), folder
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            num += 1
            if os.path.isfile(path) and os.access(path, os.R_OK):
                yield os.path.getsize(path), path
        if num > MOST_FILES:
            return

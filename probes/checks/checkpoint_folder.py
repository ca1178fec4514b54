"""Whether a checkpoint can be put where the job writes: written, renamed in one step, and read again."""

import errno
import os
import shutil

from probes import deadline
from probes.checking import file_systems, places
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(
    limit_s=30.0,
    cost=("writes_disk",),
    told_by="file_systems_answer",
    shares=file_systems.answers,
    asks={"checkpoint_bytes": "size of one checkpoint"},
)
LIMIT_S, MOST = 5.0, 4
NUM_BYTES = 1 << 16


def measure(target: Target) -> list[Measurement]:
    paths, found = file_systems.answering(target.folders[:MOST], target)
    found += [of(path, target) for path in paths if not os.path.isfile(path)]
    return found or [skipped("folders", "write, rename, read", "nobody said where the job writes (--path)")]


def of(path: str, target: Target) -> Measurement:
    there, where = places.nearest(path), f"write, rename and read in {path}"
    named = deadline.call(lambda: places.shared_name(there).encode(), LIMIT_S)
    own = named.decode() if named else os.path.join(there, ".diagnose")
    told = deadline.call(lambda: attempt(own).encode(), LIMIT_S) if named else None
    if named and told is None:
        deadline.call(lambda: remove(own), LIMIT_S)
    refusal = f"no answer within {LIMIT_S:g} s" if told is None else told.decode()
    wanted = target.settings.get("checkpoint_bytes")
    if refusal == os.strerror(errno.EROFS) and not wanted:
        return skipped(
            path, where, "it is mounted for reading only: nothing can be meant to be written there"
        )
    free = deadline.call(lambda: str(room(there)).encode(), LIMIT_S) if wanted else None
    return measured(
        path,
        where,
        refusal=refusal,
        is_there=there == os.path.abspath(path),
        free_checkpoints=int(free) / wanted if wanted and free else None,
    )


def room(folder: str) -> int:
    now = os.statvfs(folder)
    return now.f_bavail * now.f_frsize


def attempt(own: str) -> str:
    """Why not; empty where all of it works. In a folder of our own, which goes again."""
    data, old, new = os.urandom(NUM_BYTES), os.path.join(own, "step"), os.path.join(own, "step.new")
    try:
        os.mkdir(own, 0o700)
        for path, content in ((old, b"old"), (new, data)):
            with open(path, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        os.replace(new, old)
        with open(old, "rb") as file:
            same = file.read() == data
        return "" if same and os.listdir(own) == ["step"] else "what was renamed is not what is read"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        remove(own)


def remove(own: str) -> bytes:
    shutil.rmtree(own, ignore_errors=True)
    return b""

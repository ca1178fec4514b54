"""Whether a checkpoint can be put where the job writes: written, renamed in one step, and read again."""

import contextlib
import os
import shutil
import tempfile

from probes import deadline
from probes.checking import places
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check(limit_s=30.0, cost=("writes_disk",), asks={"checkpoint_bytes": "size of one checkpoint"})
LIMIT_S, MOST = 5.0, 4
NUM_BYTES = 1 << 16


def measure(target: Target) -> list[Measurement]:
    found = [of(path, target) for path in target.folders[:MOST] if not os.path.isfile(path)]
    return found or [skipped("folders", "write, rename, read", "nobody said where the job writes (--path)")]


def of(path: str, target: Target) -> Measurement:
    there, where = places.nearest(path), f"write, rename and read in {path}"
    told = deadline.call(lambda: attempt(there).encode(), LIMIT_S)
    refusal = f"no answer within {LIMIT_S:g} s" if told is None else told.decode()
    wanted, free = target.settings.get("checkpoint_bytes"), None
    with contextlib.suppress(OSError):
        now = os.statvfs(there) if told is not None else None
        free = now.f_bavail * now.f_frsize if now else None
    return measured(
        path,
        where,
        refusal=refusal,
        is_there=there == os.path.abspath(path),
        free_checkpoints=free / wanted if wanted and free is not None else None,
    )


def attempt(folder: str) -> str:
    """Why not; empty where all of it works. In a folder of its own, which goes again."""
    data, name = os.urandom(NUM_BYTES), ""
    try:
        name = tempfile.mkdtemp(prefix=".diagnose-", dir=folder)
        old, new = os.path.join(name, "step"), os.path.join(name, "step.new")
        for path, content in ((old, b"old"), (new, data)):
            with open(path, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        os.replace(new, old)
        with open(old, "rb") as file:
            same = file.read() == data
        return "" if same and os.listdir(name) == ["step"] else "what was renamed is not what is read"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        if name:
            shutil.rmtree(name, ignore_errors=True)

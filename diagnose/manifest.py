"""`manifest.json` of a run directory: read it, begin it, advance it. Keys of others are kept."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from diagnose.contract import MANIFEST, Manifest
from diagnose.values import plain
from probes.files import atomic_write, contents

LARGEST = 16 << 20  # bytes; ours have some hundreds
FINAL = {"ok", "error"}
NEXT = {
    "launching": {"detached", "running", "ok", "error", "lost"},
    "detached": {"running", "ok", "error", "lost"},
    "running": {"ok", "error", "lost"},
    "ok": {"error"},  # another node of a cluster told its failure after the first one's word
    "lost": {"running", "ok", "error"},  # the parent was slow, or somebody else has the run: its word counts
}


def path(run: Path) -> Path:
    """Where the manifest of a run directory lies."""
    return run / "manifest.json"


def read(run: Path) -> Manifest | None:
    """The manifest; None where there is none, or it cannot be understood."""
    try:
        return msgspec.json.decode(contents(path(run), LARGEST), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def begin(run: Path, id: str, **fields: object) -> None:
    """Write a new manifest, `launching`. `fields` are those of `Manifest`. Raises OSError."""
    first = {"state": "launching", "time": time.time(), "reason": ""}
    nobody = {"app_id": None, "function_call_id": None, "last_polled_at": None}
    save(
        run, {"schema": MANIFEST, "run": id, **nobody, **fields, "state": "launching", "transitions": [first]}
    )


def advance(run: Path, state: str, reason: str = "", **fields: object) -> bool:
    """Go to `state`, if one may from where it is; True if it did. Raises OSError."""
    try:
        now = msgspec.json.decode(path(run).read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        now = {"schema": MANIFEST, "run": run.name, "state": "launching"}
    if not isinstance(now, dict) or state not in NEXT.get(str(now.get("state")), set()):
        return False
    past = now.get("transitions")
    step = {"state": state, "time": time.time(), "reason": reason}
    transitions = [*(past if isinstance(past, list) else []), step]
    save(run, now | fields | {"state": state, "transitions": transitions})
    return True


def update(run: Path, **fields: object) -> None:
    """Note something more, whatever the state. Raises OSError, also where there is no manifest."""
    now = msgspec.json.decode(path(run).read_bytes())
    save(run, (now if isinstance(now, dict) else {}) | fields)


@contextmanager
def turn(run: Path) -> Iterator[None]:
    """Several writers of one manifest take turns; the lock is the folder's own, and goes with its holder."""
    fd = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def save(run: Path, fields: dict[str, object]) -> None:
    atomic_write(path(run), msgspec.json.format(msgspec.json.encode(plain(fields)), indent=1) + b"\n")

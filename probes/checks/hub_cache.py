"""Whether models come from the Hugging Face cache, and whether a lock in it would hold up every rank."""

import fcntl
import json
import os
import time
from typing import Any

from probes import deadline, procfs
from probes.checking import caches, machine
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(limit_s=15.0)
LIMIT_S, MOST = 6.0, 20_000
YES = {"1", "on", "yes", "true"}
VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME")


def measure(target: Target) -> list[Measurement]:
    folder = cache(target)
    told = deadline.call(lambda: json.dumps(look(folder)).encode(), LIMIT_S)
    seen: dict[str, Any] = json.loads(told) if told else {}
    offline = [
        target.environ.get(name, "").lower() in YES for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    ]
    is_used = any(name in target.environ for name in VARIABLES) or bool(seen.get("num_models"))
    return [
        measured(
            folder,
            f"files of {folder}, flock",
            is_answered=told is not None,
            is_used=is_used,
            is_offline=any(offline),
            is_remote=seen.get("is_remote"),
            num_models=seen.get("num_models"),
            num_unfinished=seen.get("num_unfinished"),
            num_held=seen.get("num_held"),
            oldest_held_s=seen.get("oldest_held_s"),
            num_ranks=target.num_ranks * target.num_nodes,
        )
    ]


def cache(target: Target) -> str:
    """Where models lie, by itself or by its default."""
    environ = target.environ
    if direct := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return direct
    home = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME") or "/root", ".cache")
    return os.path.join(environ.get("HF_HOME") or os.path.join(home, "huggingface"), "hub")


def look(folder: str) -> dict[str, Any]:
    """Models and data sets with a snapshot, downloads that did not end, and locks that somebody holds."""
    names = [name for name in machine.listed(folder) if name.startswith(("models--", "datasets--"))]
    whole = [name for name in names if machine.listed(os.path.join(folder, name, "snapshots"))]
    parts = [part for name in names for part in machine.listed(os.path.join(folder, name, "blobs"))]
    locks, now = [], time.time()
    for top, _, files in os.walk(os.path.join(folder, ".locks")):
        locks += [os.path.join(top, name) for name in files if name.endswith(".lock")]
        if len(locks) > MOST:
            break
    ages = [now - os.stat(path).st_mtime for path in locks if is_held(path)]
    return {
        "is_remote": caches.is_remote(folder),
        "num_models": len(whole),
        "num_unfinished": sum(part.endswith(".incomplete") for part in parts),
        "num_held": len(ages),
        "oldest_held_s": round(max(ages)) if ages else None,
    }


def is_held(path: str) -> bool:
    """A lock file stays when it is let go: what counts is a lock on it, or, without such locks, its words."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
        return bool(procfs.head(path, 64))  # a soft lock: it holds by being there, and names its owner
    except OSError:
        return True
    finally:
        os.close(fd)

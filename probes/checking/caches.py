"""Compile caches of the job: where they are, what lies in them. Each is walked in a child with a deadline."""

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from probes import cache_places, deadline, disks, procfs

LIMIT_S = 4.0
NUM_FILES = 50_000
NUM_KERNELS = 400  # of which the GPU is read
NUM_BYTES = 64 * 1024  # of a kernel's description
LOCK = "lock"  # torch's extension builder waits for ever for one that a killed builder left


def folders(environ: Mapping[str, str]) -> dict[str, str]:
    """Variable -> the folder it means, by itself or by its default.

    >>> folders({"HOME": "/h", "USER": "me"})["TORCHINDUCTOR_CACHE_DIR"]
    '/tmp/torchinductor_me'
    """
    home = environ.get("HOME") or "/root"
    return {
        "TORCHINDUCTOR_CACHE_DIR": cache_places.inductor(environ),
        "TRITON_CACHE_DIR": cache_places.triton(environ),
        "TORCH_EXTENSIONS_DIR": environ.get("TORCH_EXTENSIONS_DIR") or f"{home}/.cache/torch_extensions",
        "CUDA_CACHE_PATH": environ.get("CUDA_CACHE_PATH") or f"{home}/.nv/ComputeCache",
    }


def look(path: str) -> dict[str, Any] | None:
    """Size, locks and GPUs of what lies there; None where the file system does not answer in time."""
    told = deadline.call(lambda: json.dumps(walk(path)).encode(), LIMIT_S)
    return json.loads(told) if told else None


def walk(path: str) -> dict[str, Any]:
    """Files, bytes, the age of the oldest lock, and for how many kernels of which architecture they are."""
    num, size, oldest, arches = 0, 0, None, dict[str, int]()
    waiting, now = [path], time.time()
    while waiting and num < NUM_FILES:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    try:
                        about = entry.stat(follow_symlinks=False)
                    except OSError:  # compilers name a draft anew
                        continue
                    num, size = num + 1, size + about.st_size
                    if entry.name == LOCK:
                        oldest = max(oldest or 0.0, now - about.st_mtime)
                    is_asked = entry.name.endswith(".json") and sum(arches.values()) < NUM_KERNELS
                    if is_asked and (arch := architecture(entry.path)) is not None:
                        arches[arch] = arches.get(arch, 0) + 1
        except OSError:
            continue
    is_there = os.path.isdir(path)
    can_write = os.access(path, os.W_OK) if is_there else can_be_made(path)
    return {"is_there": is_there, "can_write": can_write, "num_files": num, "size_bytes": size} | {
        "oldest_lock_s": oldest,
        "arches": arches,
    }


def can_be_made(path: str) -> bool:
    parent = os.path.dirname(os.path.abspath(path))
    while not os.path.exists(parent) and parent != "/":
        parent = os.path.dirname(parent)
    return os.access(parent, os.W_OK)


def architecture(path: str) -> str | None:
    """For which GPU Triton compiled a kernel, by the description beside it: `90` for H100.

    >>> architecture("/no/such")
    """
    try:
        target = json.loads(procfs.head(path, NUM_BYTES) or b"null")["target"]
        return str(target["arch"]) if target["backend"] == "cuda" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def is_remote(path: str) -> bool:
    """Whether it lies on a file system of the network, by the longest mount above it."""
    real = os.path.realpath(path)
    mounts = disks.parse_mounts(procfs.read("/proc/self/mountinfo") or b"")
    above = [one for one in mounts if f"{real}/".startswith(one.point.rstrip("/") + "/")]
    return bool(above) and max(above, key=lambda one: len(one.point)).is_remote

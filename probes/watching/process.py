"""What the kernel tells of one process and its main thread, read without touching it."""

import os
from typing import Any

from probes import procfs

# system calls whose first argument is a descriptor that they may wait for: x86-64, arm64
_ON_FILE = {
    "x86_64": {0, 1, 16, 17, 18, 19, 20, 45, 44, 46, 47, 74, 75, 77, 277, 285, 295, 296},
    "aarch64": {29, 46, 47, 62, 63, 64, 65, 66, 67, 68, 69, 70, 82, 83, 84, 206, 207, 211, 212},
}.get(os.uname().machine, set[int]())
_NUM_BUSIEST = 8


def describe(pid: int) -> dict[str, Any] | None:
    """State, system call, CPU and bytes moved; None where it has gone.

    `main_cpu_s` and `io_bytes` are the main thread's alone: other threads work and log through a hang.
    `file` is what the main thread reads from or writes to right now.
    """
    now, main, threads = procfs.stat(pid), procfs.stat(pid, pid), procfs.threads(pid)
    if now is None:
        return None
    busiest = sorted(threads, key=lambda thread: -thread.cpu_s)[:_NUM_BUSIEST]
    words = (procfs.word(pid, "syscall") or "").split()
    number = int(words[0]) if words and words[0].isdigit() else None
    return {
        "state": now.state,
        "wchan": (procfs.word(pid, "wchan") or "").strip("0"),
        "syscall": number,
        "file": _file(pid, words[1]) if number in _ON_FILE and len(words) > 1 else "",
        "cpu_s": round(now.cpu_s, 2),
        "main_cpu_s": round(main.cpu_s, 2) if main else None,
        "io_bytes": procfs.io_bytes(pid, pid),
        "num_threads": len(threads),
        "busiest": [[t.pid, t.comm, t.state, round(t.cpu_s, 2)] for t in busiest],
    }


def _file(pid: int, argument: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{int(argument, 16)}")
    except (OSError, ValueError):
        return ""

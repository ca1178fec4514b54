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
    `file` is what the main thread reads from or writes to right now. `deep`: other threads in D state, each
    with its file.
    """
    now, main, threads = procfs.stat(pid), procfs.stat(pid, pid), procfs.threads(pid)
    if now is None:
        return None
    busiest = sorted(threads, key=lambda thread: -thread.cpu_s)[:_NUM_BUSIEST]
    number, file = _call(pid, pid)
    deep = [thread.pid for thread in threads if thread.state == "D" and thread.pid != pid][:_NUM_BUSIEST]
    return {
        "state": now.state,
        "wchan": (procfs.word(pid, "wchan") or "").strip("0"),
        "syscall": number,
        "file": file,
        "deep": [[thread, _call(pid, thread)[1]] for thread in deep],
        "cpu_s": round(now.cpu_s, 2),
        "main_cpu_s": round(main.cpu_s, 2) if main else None,
        "io_bytes": procfs.io_bytes(pid, pid),
        "total_io_bytes": procfs.io_bytes(pid),
        "num_threads": len(threads),
        "busiest": [[t.pid, t.comm, t.state, round(t.cpu_s, 2)] for t in busiest],
    }


def _call(pid: int, thread: int) -> tuple[int | None, str]:
    """The system call a thread is in, and the file that it waits for there; None and empty where not told."""
    words = (procfs.word(pid, f"task/{thread}/syscall") or "").split()
    if not words or not words[0].isdigit():
        return None, ""
    number = int(words[0])
    if number not in _ON_FILE or len(words) < 2:
        return number, ""
    try:
        return number, os.readlink(f"/proc/{pid}/fd/{int(words[1], 16)}")
    except (OSError, ValueError):
        return number, ""

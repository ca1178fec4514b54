"""Undoes what a program did to its machine (a mount, a cgroup, a namespace) once that program is gone.

    keeper.undo(f"umount {folder}", within_s=20)

The keeper is a process of its own, ready before the machine is touched. It carries nobody's mark, so it
outlives a SIGKILL of the program and of whoever started that, and it ends only when its script has succeeded.
"""

import os
import subprocess
import sys
import time

AGAIN_S = 0.2


def undo(script: str, within_s: float = 600.0) -> None:
    """Have `script` run by a shell once this process is gone, or after `within_s` although it is not.

    It is run until it exits with 0: it must do so too where there is nothing (left) to undo.
    """
    told = [os.getcwd(), str(os.getpid()), str(begun(os.getpid())), str(within_s), script]
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", os.path.abspath(__file__), *told],
        env={"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert keeper.stdout is not None
    keeper.stdout.readline()  # it is there


def begun(pid: int) -> int:
    """When a process began, in clock ticks; 0 where it is gone or dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def keep(pid: int, ticks: int, within_s: float, script: str) -> None:
    """Wait for the end of `pid`, then run the script until it succeeds."""
    end = time.monotonic() + within_s
    while begun(pid) == ticks and time.monotonic() < end:
        time.sleep(AGAIN_S / 2)
    while subprocess.run(["sh", "-c", script], capture_output=True).returncode:
        time.sleep(AGAIN_S)


if __name__ == "__main__":
    _, _, owner, ticks, limit, text = sys.argv
    print("ready", flush=True)
    os.dup2(2, 1)  # nobody waits for the end of a stream that is ours
    keep(int(owner), int(ticks), float(limit), text)

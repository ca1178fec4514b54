"""End every process of the job: those that carry its mark in their environment, wherever they have gone."""

import os
import signal
import time
from contextlib import suppress
from typing import NamedTuple

from probes import procfs


class Ended(NamedTuple):
    """Process ids that were ended, and those that stay (uninterruptible), as `pid comm state`."""

    ended: list[int]
    stuck: list[str]


def marked(mark: str) -> list[int]:
    """Live processes started with DIAGNOSE_MARK=<mark>; never this one."""
    pair, me = f"DIAGNOSE_MARK={mark}".encode(), os.getpid()
    return [
        pid
        for pid in procfs.pids()
        if pid != me and pair in (procfs.read(f"/proc/{pid}/environ") or b"").split(b"\0")
    ]


def _send(pids: list[int], *signals: int) -> None:
    for pid in pids:
        for signum in signals:
            with suppress(OSError):
                os.kill(pid, signum)


def end(mark: str, grace_s: float = 5.0, kill_s: float = 3.0) -> Ended:
    """SIGTERM, SIGKILL after `grace_s`, and again for what they start meanwhile; gives up `kill_s` later."""
    if not mark:
        return Ended([], [])
    begun, seen, asked = time.monotonic(), set[int](), set[int]()
    while left := marked(mark):
        seen |= set(left)
        late = time.monotonic() - begun
        if late > grace_s + kill_s:
            break
        if late > grace_s:
            _send(left, signal.SIGKILL)
        else:  # SIGCONT: a stopped process takes its SIGTERM only when it runs again
            _send([pid for pid in left if pid not in asked], signal.SIGTERM, signal.SIGCONT)
            asked |= set(left)
        time.sleep(0.1)
    return Ended(sorted(seen - set(left)), [_name(pid) for pid in left])


def _name(pid: int) -> str:
    now = procfs.stat(pid)
    return f"{pid} {now.comm} {now.state}" if now else str(pid)

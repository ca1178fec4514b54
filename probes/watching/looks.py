"""When to look, and a look under way: a forked child that talks through a pipe."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from probes import deadline, disks, ras
from probes.files import atomic_write
from probes.watching.look import Look
from probes.watching.rank import Rank

_LIMIT_S = 20.0  # two scans, in each of which every rung may take its whole time
RAS_S = 4.0
_COVERED_S = 5.0  # a look that began this short a while ago has seen it

Say = Callable[..., None]  # say(attempt, rank, kind, **data)


class Looks:
    """At most one look at a time; a later cause waits for its turn."""

    def __init__(self, spool: str, say: Say) -> None:
        self.spool, self.say = spool, say
        self.child: deadline.Child | None = None
        self.rest = b""
        self.begun = 0.0
        self.attempt = ""
        self.signalled: set[int] = set()
        self.due: dict[str, float] = {}  # cause: when

    @property
    def fd(self) -> int:
        """To poll for reading; -1 when no look is under way."""
        return self.child.fd if self.child else -1

    def want(self, cause: str, when: float) -> None:
        """Ask for a look at `when` (monotonic s); the earliest wish of a cause counts."""
        self.due[cause] = min(when, self.due.get(cause, when))

    def begin(self, ranks: list[Rank], now: float) -> None:
        """Start the look that is due, if any and if there is somebody to look at."""
        if self.child is not None:
            if now - self.begun > _LIMIT_S:
                self.finish()
            return
        causes = [cause for cause, when in self.due.items() if when <= now]
        if not causes:
            return
        cause = "stalled" if "stalled" in causes else causes[0]
        for one in causes:
            del self.due[one]
        if not ranks or (cause == "died" and now - self.begun < _COVERED_S):
            return
        self.begun, self.attempt, self.rest = now, ranks[0].attempt, b""
        self.child = deadline.fork(lambda fd: _look(fd, ranks, self.spool, cause))

    def read(self) -> None:
        """Say what the look has said; at its end, end it."""
        if self.child is None:
            return
        data = os.read(self.child.fd, 1 << 20)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            rank, kind, told = json.loads(line)
            if kind == "signal.sent":
                self.signalled.add(told["pid"])
            self.say(self.attempt, rank, kind, **told)
        if not data:
            self.finish()

    def finish(self) -> None:
        """Kill what is left of the look."""
        if self.child is not None:
            deadline.end(self.child)
            self.child = None

    def hurry(self, limit_s: float) -> None:
        """The job is over: no second scan; what comes within `limit_s` still counts."""
        if self.child is None:
            return
        with suppress(OSError):
            os.kill(self.child.pid, signal.SIGTERM)
            os.set_blocking(self.child.fd, False)
        end = time.monotonic() + limit_s
        while self.child is not None and time.monotonic() < end:
            try:
                self.read()
            except BlockingIOError:
                time.sleep(0.02)
        self.finish()


def _look(fd: int, ranks: list[Rank], spool: str, cause: str) -> None:
    def say(kind: str, rank: int | None, **data: Any) -> None:
        line = memoryview(json.dumps([rank, kind, data]).encode() + b"\n")
        while line:
            line = line[os.write(fd, line) :]

    look = Look(ranks, spool, cause, say)
    signal.signal(signal.SIGTERM, lambda *_: look.hurry())
    say("disks.read", None, full=disks.look())
    look.take()
    if os.environ.get("DIAGNOSE_RAS") == "1" and cause in ("stalled", "expiring"):
        ask_ras(look.folder, say)


def ask_ras(folder: str, say: Callable[..., None]) -> None:
    """NCCL's word on the job, where the operator allows it: a query is known to have crashed ranks."""
    where = os.environ.get("NCCL_RAS_ADDR") or ras.DEFAULT
    answer = ras.ask(where, RAS_S, RAS_S / 2)
    if answer.error:
        say("ras.refused", None, address=where, reason=answer.error)
        return
    name = f"host/{int(time.time())}/ras.txt"
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    atomic_write(path, answer.body)
    say("ras.dumped", None, path=f"attempts/{os.path.basename(folder)}/{name}", num_bytes=len(answer.body))

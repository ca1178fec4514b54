"""Read many files in child processes: each has limits, one that dies or is late costs its own file alone."""

import fcntl
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from diagnose.model import Event, Member
from diagnose.naming import rank_of
from probes import procfs

TOP = Path(__file__).parent.parent
MAX_CHILDREN = 8
MAX_BYTES = 64 << 20  # of one file
DEADLINE_S = 15.0  # of a child's own CPU time, and one more for each MB
STARVED = 8  # times that much may pass where it gets little of a CPU
CHUNK = 1 << 20
EVENTS = msgspec.msgpack.Decoder(list[Event])


class Job(NamedTuple):
    """One file, and the source that reads it."""

    number: int
    source: str
    member: Member

    def failed(self, reason: str) -> list[Event]:
        where = self.member.where
        rank = rank_of(where, trailing=True)
        return [Event("source.unreadable", self.source, where, rank=rank, data={"reason": reason})]


class Child:
    """One worker and the job it has in hand. Raises OSError where none can be started."""

    def __init__(self) -> None:
        path = os.pathsep.join(p for p in (str(TOP), os.environ.get("PYTHONPATH", "")) if p)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "diagnose.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            bufsize=0,
        )
        with suppress(OSError):  # a dump at once, where that much is allowed
            fcntl.fcntl(self.process.stdin or -1, fcntl.F_SETPIPE_SZ, CHUNK)
        self.job: Job | None = None
        self.got = bytearray()
        self.limit_s = self.deadline = self.last = self.worked_s = 0.0

    def fileno(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def give(self, job: Job, data: bytes) -> None:
        """Hand it a file. Raises OSError if it is no longer there."""
        head = {"source": job.source, "where": job.member.where, "length": len(data)}
        self.job, self.limit_s, self.worked_s = job, DEADLINE_S + len(data) / (1 << 20), self.cpu_s()
        self.deadline = time.monotonic() + self.limit_s
        self.last = self.deadline + (STARVED - 1) * self.limit_s
        self.got.clear()
        assert self.process.stdin is not None
        for part in (msgspec.json.encode(head) + b"\n", data):
            view = memoryview(part)
            while view:
                view = view[self.process.stdin.write(view) or 0 :]

    def take(self) -> bytes | None:
        """The answer, if it is complete. Raises OSError if there will be none."""
        part = os.read(self.fileno(), CHUNK)
        if not part:
            raise OSError("it died")
        self.got += part
        head, line, body = self.got.partition(b"\n")
        return bytes(body) if line and len(body) == int(head) else None

    def cpu_s(self) -> float:
        """Its CPU time; where that cannot be read, as much as it may have had."""
        told = procfs.stat(self.process.pid)
        return told.cpu_s if told else time.monotonic()

    def is_late(self, now: float) -> bool:
        """Whether its time is up. Where it had no CPU it gets more."""
        if now >= self.last:
            return True
        left = self.limit_s - (self.cpu_s() - self.worked_s)
        self.deadline = max(self.deadline, min(now + left, self.last))
        return self.deadline <= now

    def end(self) -> int:
        """Kill it; the code it ended with."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()
        self.process.kill()
        return self.process.wait()


class Pool:
    """Children at work, each on one file."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.idle: list[Child] = []
        self.busy: dict[int, Child] = {}
        self.selector = selectors.DefaultSelector()

    def start(self, job: Job, data: bytes) -> list[Event] | None:
        """Give a file to a child that is free; its events at once where that cannot be done."""
        while True:
            is_new = not self.idle
            try:
                child = self.idle.pop() if self.idle else Child()
            except OSError as error:
                return job.failed(f"no process for its reader: {error.strerror or error}")
            try:
                child.give(job, data)
            except OSError:  # it died while it had nothing to do
                child.end()
                if is_new:
                    return job.failed("its reader died before it read anything")
                continue
            self.busy[child.fileno()] = child
            self.selector.register(child, selectors.EVENT_READ)
            return None

    def wait(self) -> Iterator[tuple[Job, bytes | list[Event]]]:
        """What is ready next: answers, and the files that have cost their reader its life."""
        left = min(child.deadline for child in self.busy.values()) - time.monotonic()
        for key, _ in self.selector.select(max(0.0, left)):
            child = self.busy[key.fd]
            try:
                body = child.take()
            except (OSError, ValueError) as error:
                yield self.lose(child, f"refused: reading it ended its reader ({error})")
                continue
            if body is not None and child.job is not None:
                self.release(child)
                self.idle.append(child)
                yield child.job, body
        now = time.monotonic()
        for child in [one for one in self.busy.values() if one.deadline <= now and one.is_late(now)]:
            yield self.lose(child, "refused: reading it takes too long")

    def lose(self, child: Child, reason: str) -> tuple[Job, list[Event]]:
        assert child.job is not None
        self.release(child)
        child.end()
        return child.job, child.job.failed(reason)

    def release(self, child: Child) -> None:
        self.selector.unregister(child)
        del self.busy[child.fileno()]

    def close(self) -> None:
        for child in (*self.idle, *self.busy.values()):
            child.end()
        self.selector.close()


def answered(pair: tuple[Job, bytes | list[Event]]) -> tuple[int, list[Event]]:
    """The number of a job, and its events, whatever its reader sent."""
    job, told = pair
    if isinstance(told, list):
        return job.number, told
    try:
        return job.number, EVENTS.decode(told)
    except ValueError as error:
        return job.number, job.failed(f"refused: its reader's answer makes no sense ({error})")


def fetch(job: Job) -> bytes | list[Event]:
    """The file's bytes, or why there are none."""
    try:  # an archive's word on a size may be a lie
        data = b"" if job.member.size > MAX_BYTES else job.member.read(MAX_BYTES + 1)
    except OSError as error:
        return job.failed(error.strerror or str(error))
    if max(len(data), job.member.size) > MAX_BYTES:
        return job.failed(f"refused: larger than {MAX_BYTES >> 20} MB")
    return data


def read(jobs: Iterable[Job], size: int | None = None) -> Iterator[tuple[int, list[Event]]]:
    """The events of each job by its number, as they are ready; whatever happens, every job has an answer."""
    pool = Pool(size or min(os.cpu_count() or 1, MAX_CHILDREN))
    try:
        for job in jobs:
            data = fetch(job)  # while the children work
            ready: list[tuple[Job, bytes | list[Event]]] = []
            while len(pool.busy) >= pool.size:
                ready += pool.wait()
            failed = pool.start(job, data) if isinstance(data, bytes) else data
            if failed is not None:
                ready.append((job, failed))
            yield from map(answered, ready)  # the children work again by now
        while pool.busy:
            yield from map(answered, pool.wait())
    finally:
        pool.close()

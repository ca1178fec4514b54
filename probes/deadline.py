"""Run what may never come back: in a child with a deadline, killed with its group, then not waited for."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

_PR_SET_PDEATHSIG = 1
_unreaped: list[int] = []


class Outcome(NamedTuple):
    """What a command left: exit code (negative: signal; None: no end by the deadline), output, seconds."""

    code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def timed_out(self) -> bool:
        """Was it killed at the deadline?"""
        return self.code is None


class _Command:
    def __init__(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> None:
        self.started = time.monotonic()
        self.out: dict[int, bytearray] = {}
        self.code: int | None = None
        self.error = b""
        try:
            self.process: subprocess.Popen[bytes] | None = subprocess.Popen(
                argv,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self.process, self.code, self.error = None, 127, str(error).encode()
            return
        assert self.process.stdout and self.process.stderr
        self.fds = [self.process.stdout.fileno(), self.process.stderr.fileno()]
        for fd in self.fds:
            os.set_blocking(fd, False)
            self.out[fd] = bytearray()

    def outcome(self) -> Outcome:
        """Kill what is left, close the pipes, hand over what was read."""
        if self.process is None:
            return Outcome(self.code, b"", self.error, 0.0)
        self.code = self.process.poll()
        kill_group(self.process.pid)  # also what a finished command left behind in its group
        if self.code is None:
            _unreaped.append(self.process.pid)
            self.process.returncode = -signal.SIGKILL  # ours to reap: Popen must neither wait nor warn
        assert self.process.stdout and self.process.stderr
        self.process.stdout.close()
        self.process.stderr.close()
        stdout, stderr = (bytes(self.out[fd]) for fd in self.fds)
        return Outcome(self.code, stdout, stderr, time.monotonic() - self.started)


def kill_group(pid: int) -> None:
    """SIGKILL a process group; one that is gone is fine."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_with_parent(signum: int) -> None:
    """From now on the kernel sends us this signal when the process that started us is gone. Linux only."""
    import ctypes  # most who import this module need it not

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signum))


def reap() -> int:
    """Reap killed children that have gone by now; answers how many are still there (D state)."""
    for pid in list(_unreaped):
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _unreaped.remove(pid)
    return len(_unreaped)


def run_many(
    commands: Mapping[K, Sequence[str]], limit_s: float, environ: Mapping[str, str] | None = None
) -> dict[K, Outcome]:
    """Run all commands at once, each with the same deadline; always returns by then.

    They get `environ`, else our own environment.

    >>> run_many({1: ["true"], 2: ["sleep", "9"]}, 0.2)[2].timed_out
    True
    """
    reap()
    waiting = {key: _Command(argv, environ) for key, argv in commands.items()}
    done = {key: one.outcome() for key, one in waiting.items() if one.process is None}
    end = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        for one in waiting.values():
            for fd in one.out:
                selector.register(fd, selectors.EVENT_READ, one)
        while len(done) < len(waiting) and (left := end - time.monotonic()) > 0:
            for ready, _ in selector.select(min(left, 0.05)):
                _drain(selector, ready.fd, ready.data)
            for key in [key for key in waiting if key not in done]:
                one = waiting[key]
                if one.process is not None and one.process.poll() is not None:
                    for fd in [fd for fd in one.out if fd in selector.get_map()]:
                        _drain(selector, fd, one)
                        if fd in selector.get_map():
                            selector.unregister(fd)
                    done[key] = one.outcome()
    return done | {key: one.outcome() for key, one in waiting.items() if key not in done}


def _drain(selector: selectors.BaseSelector, fd: int, one: _Command) -> None:
    with suppress(BlockingIOError):
        while part := os.read(fd, 65536):
            one.out[fd] += part
        selector.unregister(fd)


def run(argv: Sequence[str], limit_s: float, environ: Mapping[str, str] | None = None) -> Outcome:
    """Run one command with a deadline.

    >>> run(["echo", "hi"], 5).stdout
    b'hi\\n'
    """
    return run_many({0: argv}, limit_s, environ)[0]


class Child(NamedTuple):
    """A forked child of this process: its id (also its process group) and the pipe it writes to."""

    pid: int
    fd: int


def fork(function: Callable[[int], None]) -> Child:
    """Run `function(write_fd)` in a forked child in its own group. Only for processes without threads."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            function(writer)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    return Child(pid, reader)


def end(child: Child) -> None:
    """Close the pipe, kill the group, reap later."""
    os.close(child.fd)
    kill_group(child.pid)
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    _unreaped.append(child.pid)
    reap()


def call(function: Callable[[], bytes], limit_s: float) -> bytes | None:
    """What `function` returns, computed in a child; None if it raised or was not done by the deadline."""
    return call_many({0: function}, limit_s)[0]


def call_many(functions: Mapping[K, Callable[[], bytes]], limit_s: float) -> dict[K, bytes | None]:
    """All at once, each in a child of its own, with the same deadline."""

    def writer(function: Callable[[], bytes]) -> Callable[[int], None]:
        def write(fd: int) -> None:
            view = memoryview(b"=" + function())
            while view:
                view = view[os.write(fd, view) :]

        return write

    stop = time.monotonic() + limit_s
    children = {key: fork(writer(function)) for key, function in functions.items()}
    data, left = {key: bytearray() for key in children}, set(children)
    with selectors.DefaultSelector() as selector:
        for key, child in children.items():
            selector.register(child.fd, selectors.EVENT_READ, key)
        while left and (rest := stop - time.monotonic()) > 0:
            for ready, _ in selector.select(rest):
                part = os.read(ready.fd, 65536)
                data[ready.data] += part
                if not part:
                    selector.unregister(ready.fd)
                    left.discard(ready.data)
    for child in children.values():
        end(child)
    return {key: bytes(told[1:]) if told and key not in left else None for key, told in data.items()}


def hear(child: Child, limit_s: float) -> bytes:
    """What a child writes next; empty at its end, or where it says nothing within the limit."""
    with selectors.DefaultSelector() as selector:
        selector.register(child.fd, selectors.EVENT_READ)
        return os.read(child.fd, 65536) if selector.select(limit_s) else b""

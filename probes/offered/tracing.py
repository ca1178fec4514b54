"""Whether one process here may look into another: ptrace, its memory, py-spy. Tried on our own children."""

import ctypes
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from probes import deadline, stacks
from probes.offered.item import Item, of_error

_SEIZE, _SET_PTRACER, _ANY = 0x4206, 0x59616D61, ctypes.c_ulong(-1).value
_LIMIT_S, _PY_SPY_S, _START_S = 2.0, 4.0, 1.0
_WORD = b"diagnose"
_libc = ctypes.CDLL(None, use_errno=True)


def items() -> Iterator[Item]:
    yield attempt("pidfd", lambda: os.close(os.pidfd_open(os.getpid())))
    with Target(is_open=False) as target:
        yield attempt("ptrace.child", lambda: seize(target.pid))  # it stays attached
    with Target(is_open=False) as target:
        yield by_sibling("ptrace.sibling", lambda: seize(target.pid))
    with Target(is_open=True) as target:  # as the rank hook opens a rank
        yield by_sibling("process_vm_readv", lambda: read_memory(target.pid))
        yield by_sibling("ptrace.sibling_allowed", lambda: seize(target.pid))
    yield py_spy()


class Target:
    """A child that sleeps, and does no harm when it is looked into."""

    def __init__(self, is_open: bool) -> None:
        self.is_open = is_open

    def __enter__(self) -> "Target":
        is_open = self.is_open

        def sleep(fd: int) -> None:
            if is_open:
                _libc.prctl(_SET_PTRACER, ctypes.c_ulong(_ANY), 0, 0, 0)
            os.write(fd, b".")
            time.sleep(60)

        self.child = deadline.fork(sleep)
        self.pid = self.child.pid
        os.read(self.child.fd, 1)
        return self

    def __exit__(self, *_: object) -> None:
        deadline.end(self.child)


def attempt(name: str, function: Callable[[], None]) -> Item:
    """Try it here."""
    try:
        function()
    except OSError as error:
        return of_error(name, error)
    except AttributeError:
        return Item(name, "absent", reason="this Python has no such call")
    return Item(name, "present")


def by_sibling(name: str, function: Callable[[], None]) -> Item:
    """Try it in another child: no ancestor of the target, as the agent is none of a rank's."""
    told = deadline.call(lambda: json.dumps(attempt(name, function)).encode(), _LIMIT_S)
    return Item(*json.loads(told)) if told else Item(name, "refused", reason=f"no answer within {_LIMIT_S} s")


def seize(pid: int) -> None:
    """Attach without stopping it; the tracer's end lets go. Raises OSError."""
    if _libc.ptrace(_SEIZE, pid, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "ptrace is not known here" if number == errno.EIO else os.strerror(number))


def read_memory(pid: int) -> None:
    """Read a word that lies at the same place in a forked child. Raises OSError."""

    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

    own, far = ctypes.create_string_buffer(len(_WORD)), ctypes.create_string_buffer(_WORD)
    here = Vector(ctypes.addressof(own), len(_WORD))
    there = Vector(ctypes.addressof(far), len(_WORD))
    num = _libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    if num < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def py_spy() -> Item:
    """A dump of a Python that sleeps; it is a child of ours, which the strictest rule allows most."""
    if (found := stacks.find_py_spy()) is None:
        return Item("py_spy", "absent", reason="py-spy is not installed")
    argv = [sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(60)"]
    try:
        child = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        return of_error("py_spy", error)
    try:
        assert child.stdout
        child.stdout.readline()
        told = deadline.run(stacks.py_spy_argv(found, child.pid), _PY_SPY_S)
    finally:
        child.kill()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_START_S)
        child.stdout.close() if child.stdout else None
    if stacks.parse_threads(told.stdout) is None:
        return Item("py_spy", "refused", found, stacks.why_not(told))
    return Item("py_spy", "present", found)

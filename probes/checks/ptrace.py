"""Whether one process may attach to another: py-spy and gdb read stacks of a hung rank that way."""

import ctypes
import os
import signal
import time

from probes import procfs
from probes.checking.check import Check, Measurement, Target, measured

CHECK = Check(cost=("pauses", "signals"))
ATTACH, DETACH = 16, 17
YAMA = "/proc/sys/kernel/yama/ptrace_scope"


class Part(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def measure(target: Target) -> list[Measurement]:
    """Two children of ours that are siblings, as an agent and a rank are: one sleeps, one attaches."""
    marker = ctypes.create_string_buffer(b"diagnose")
    sleeper = os.fork()
    if sleeper == 0:
        time.sleep(60)
        os._exit(0)
    try:
        read, attach = refusals(sleeper, marker)
    finally:
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)
    scope = (procfs.read(YAMA) or b"").strip().decode(errors="replace")
    where = "ptrace and process_vm_readv of a child's sibling"
    return [
        measured("host", where, attach=attach, read=read, yama_scope=int(scope) if scope.isdigit() else None)
    ]


def refusals(pid: int, marker: ctypes.Array[ctypes.c_char]) -> tuple[str, str]:
    """Why another child cannot read the memory of `pid`, and cannot attach to it; `ok` where it can."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, f"{read_memory(pid, marker)}\n{attach_to(pid)}".encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        told = pipe.read().decode().split("\n")
    os.waitpid(child, 0)
    return (told[0], told[1]) if len(told) == 2 else ("no answer", "no answer")


def read_memory(pid: int, marker: ctypes.Array[ctypes.c_char]) -> str:
    libc, size = ctypes.CDLL(None, use_errno=True), len(marker)
    copy = ctypes.create_string_buffer(size)
    ours, theirs = Part(ctypes.addressof(copy), size), Part(ctypes.addressof(marker), size)
    try:
        got = libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
    except AttributeError:
        return "this C library has no process_vm_readv"
    return "ok" if got == size and copy.raw == marker.raw else os.strerror(ctypes.get_errno())


def attach_to(pid: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(ATTACH, pid, None, None):
        return os.strerror(ctypes.get_errno())
    os.waitpid(pid, 0)
    libc.ptrace(DETACH, pid, None, None)
    return "ok"

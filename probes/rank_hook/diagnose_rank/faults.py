"""Lets others see the rank's stack: the stack signal writes it to a file, and a debugger of the same user may attach."""

import os

from . import names
from .session import me, quiet
from .state import USR2_TAKEN
from .torch_import import hide_caller

_PR_SET_PTRACER = 0x59616D61  # prctl(2), Yama
_HIGH = 1000  # far above what programs count on, below the usual soft limit of 1024
_ROOM = 24


def register():
    """Have faulthandler write all stacks to the rank's file on the stack signal, unless the signal is in use."""
    import _signal

    signum = getattr(_signal, os.environ.get("DIAGNOSE_SIGNAL") or "SIGUSR2", 0)
    if not signum or me.stack_fd >= 0 or _signal.getsignal(signum) != _signal.SIG_DFL:
        return
    import faulthandler
    import fcntl

    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    low = os.open(names.faults_path(me.spool, me.attempt, me.rank), flags, 0o600)
    try:
        floor = max(3, min(os.sysconf("SC_OPEN_MAX"), _HIGH) - _ROOM)
        me.stack_fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, floor)
    finally:
        os.close(low)
    faulthandler.register(signum, file=me.stack_fd, all_threads=True)
    me.stack_signal = int(signum)


def release():
    """Give the file back, before the process becomes another rank."""
    path = names.faults_path(me.spool, me.attempt, me.rank)
    if me.stack_fd >= 0 and os.readlink(f"/proc/self/fd/{me.stack_fd}") == os.path.realpath(path):
        forget()
        os.close(me.stack_fd)
        me.stack_fd, me.stack_signal = -1, 0


def forget():
    """In a forked child: the signal does again what it would without us."""
    if me.stack_signal and not me.is_signal_taken:
        import faulthandler

        faulthandler.unregister(me.stack_signal)


def allow_ptrace():
    """Let any process of this user read the stacks; only where Yama would refuse. ctypes is torch's own import."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", "rb") as file:
            if file.read().strip() != b"1":
                return
    except OSError:
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)


def patch(signal):
    """Notice when the program takes the stack signal for itself: it is then never sent."""
    import functools

    original = signal.signal

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        try:
            before = original(*args, **kwargs)
        except BaseException as error:
            hide_caller(error)
            raise
        quiet("signal", _taken, args[0] if args else kwargs.get("signalnum"))
        return before

    signal.signal = wrapper


def _taken(signum):
    if me.stack_signal and signum == me.stack_signal:
        me.is_signal_taken = True
        if me.page is not None:
            me.page.flag(USR2_TAKEN)

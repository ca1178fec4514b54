"""Lets others see the stack: the stack signal writes it to a file, and the same user may attach."""

import os

from . import names
from .session import me, quiet
from .state import USR2_TAKEN
from .torch_import import hide_caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_PR_SET_PTRACER = 0x59616D61  # prctl(2), Yama
_HIGH = 1000  # far above what programs count on, below the usual soft limit of 1024
_ROOM = 24


def register() -> None:
    """Have faulthandler write all stacks to the rank's file on the stack signal, unless that is in use."""
    import _signal  # type: ignore[import-not-found]  # `signal` itself loads enum

    signum = getattr(_signal, os.environ.get("DIAGNOSE_SIGNAL") or "SIGUSR2", 0)
    if not signum or me.stack_fd >= 0 or _signal.getsignal(signum) != _signal.SIG_DFL:
        return
    floor = min(os.sysconf("SC_OPEN_MAX"), _HIGH) - _ROOM
    if floor < _ROOM:
        return  # so few descriptors that ours would be in the way
    import faulthandler

    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    low = os.open(names.faults_path(me.spool, me.attempt, me.rank), flags, 0o600)
    try:
        me.stack_fd = os.dup2(low, _free_from(floor), inheritable=False)
    finally:
        os.close(low)
    faulthandler.register(signum, file=me.stack_fd, all_threads=True)
    me.stack_signal = int(signum)


def _free_from(number: int) -> int:
    while True:
        try:
            os.fstat(number)
        except OSError:
            return number
        number += 1


def release() -> None:
    """Give the file back, before the process becomes another rank."""
    path = names.faults_path(me.spool, me.attempt, me.rank)
    if me.stack_fd >= 0 and os.readlink(f"/proc/self/fd/{me.stack_fd}") == os.path.realpath(path):
        forget()
        os.close(me.stack_fd)
        me.stack_fd, me.stack_signal = -1, 0


def forget() -> None:
    """In a forked child: the signal does again what it would without us."""
    if me.stack_signal and not me.is_signal_taken:
        import faulthandler

        faulthandler.unregister(me.stack_signal)


def allow_ptrace() -> None:
    """Let processes of this user read the stacks where Yama would refuse. torch loads ctypes anyway."""
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", "rb") as file:
            if file.read().strip() != b"1":
                return
    except OSError:
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)


def patch(signal: "ModuleType") -> None:
    """Notice when the program takes the stack signal for itself: it is then never sent."""
    import functools

    original = signal.signal

    @functools.wraps(original)
    def wrapper(*args: object, **kwargs: object) -> object:
        try:
            before = original(*args, **kwargs)
        except BaseException as error:
            hide_caller(error)
            raise
        quiet("signal", _taken, args[0] if args else kwargs.get("signalnum"))
        return before

    signal.signal = wrapper  # type: ignore[attr-defined]


def _taken(signum: object) -> None:
    if me.stack_signal and signum == me.stack_signal:
        me.is_signal_taken = True
        if me.page is not None:
            me.page.flag(USR2_TAKEN)

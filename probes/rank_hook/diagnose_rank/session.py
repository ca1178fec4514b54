"""Who this process is: no rank, perhaps one, or a rank; and the one way to say something as it."""

import os
import sys

from . import names

EXITING = 4  # in state.py, which a process that is no rank never loads
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .events import Log
    from .state import Page

    Result = TypeVar("Result")


class Session:
    """What this process knows of itself. `rank` is -1 while it is none; a forked child starts afresh."""

    announce: "Callable[[], None]" = staticmethod(lambda: None)  # how a claim is said; claiming.py sets it

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.rank = -1
        self.how = ""  # environment, process_group, command
        self.is_announced = False
        self.has_group = False
        self.claimed_at = 0.0
        self.page: "Page | None" = None
        self.log: "Log | None" = None
        self.stack_signal, self.stack_fd = 0, -1
        self.socket: "str | None" = None
        self.kept: "list[Page | None]" = []  # freeing one closes a descriptor number
        self.is_armed = False
        self.is_child = False  # forked from a process with the hook
        self.is_leaving = self.has_left = False
        self.is_signal_taken = False
        self.num_inits = 0
        self.world_size: "int | None" = None
        self.num_groups = 0
        self.backends: "set[str]" = set()  # of all its groups
        self.wrappers: "list[str]" = []  # what shares the model among ranks, as it was first used
        self.phase = 0  # of the program's own telling, an index into state.PHASES
        self.counts_steps = False  # the program says itself when a step ends

    def forked(self) -> None:
        """In the child of a fork: no rank any more, until it makes a process group itself."""
        kept, is_armed = [*self.kept, self.page], self.is_armed
        self.__init__()  # type: ignore[misc]
        self.kept, self.is_armed, self.is_child = kept, is_armed, True

    @property
    def spool(self) -> str:
        return os.environ.get("DIAGNOSE_SPOOL", "")

    @property
    def attempt(self) -> str:
        restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
        base = os.environ.get("DIAGNOSE_ATTEMPT", "") or "1"
        return names.attempt_name(base, int(restarts) if restarts.isdigit() else 0)

    def is_rank(self) -> bool:
        """Is it a rank, in this very process (a fork may have gone unnoticed)?"""
        return self.rank >= 0 and self.pid == os.getpid()


me = Session()


def emit(event: str, level: str = "info", **data: object) -> None:
    """Write an event of this rank; nothing where this process is no rank, or no longer. Raises nothing."""
    try:
        if not me.is_rank():
            return
        if not me.is_announced:
            me.announce()
        if me.is_rank() and me.log is not None and (me.has_group or _still_mine()):
            me.log.append(event, level, data)
    except Exception:  # the program comes first
        pass


def leave() -> None:
    """The rank is on its way out; said once."""
    if me.has_left:
        return
    me.has_left = me.is_leaving = True
    if "torch" in sys.modules or me.counts_steps:
        quiet("describing", _describe)
    emit("rank.exiting")
    if me.page is not None:
        me.page.flag(EXITING)


def _describe() -> None:
    from . import describing

    describing.at_exit()


def quiet(step: str, function: "Callable[..., Result]", *arguments: object) -> "Result | None":
    """Call a part of the hook; what goes wrong in it becomes an event."""
    try:
        return function(*arguments)
    except Exception as error:
        emit("hook.failed", "warning", step=step, error=f"{type(error).__name__}: {error}"[:500])
        return None


def holder(rank: int) -> "tuple[int, int, bool, bool, str] | None":
    """(pid, start ticks, has a process group, is provisional, key) of the claim on `rank`, if any."""
    try:
        with open(names.claim_path(me.spool, me.attempt, rank), "rb") as file:
            text = file.read()
        pid, start = (int(text.split(b'"%s":' % key)[1].split(b",")[0]) for key in (b"pid", b"start_ticks"))
    except (OSError, ValueError, IndexError):
        return None
    key = text.partition(b'"key":"')[2].partition(b'"')[0].decode(errors="replace")
    return pid, start, b'"has_process_group":true' in text, b'"provisional":true' in text, key


def ticks(pid: int) -> int:
    """Start time of a process in clock ticks; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _still_mine() -> bool:
    other = holder(me.rank)
    if other is None or other[0] == me.pid:
        return True
    me.rank = -1
    return False


def number(name: str) -> "int | None":
    """A whole number in the environment."""
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else None

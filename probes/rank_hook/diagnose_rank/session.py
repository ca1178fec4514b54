"""Who this process is: no rank, perhaps one, or a rank; and the one way to say something as it."""

import os
import sys
from time import time

from . import claim, names
from .events import Log, dumps, write_whole

EXITING = 4  # in state.py, which a process that is no rank never loads
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .state import Page

    Result = TypeVar("Result")


class Session:
    """What this process knows of itself. `rank` is -1 while it is none; a forked child starts afresh."""

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
            announce()
        if me.is_rank() and me.log is not None and (me.has_group or _still_mine()):
            me.log.append(event, level, data)
    except Exception:  # the program comes first
        pass


def leave() -> None:
    """The rank is on its way out; said once."""
    if me.has_left:
        return
    me.has_left = me.is_leaving = True
    emit("rank.exiting")
    if me.page is not None:
        me.page.flag(EXITING)


def quiet(step: str, function: "Callable[..., Result]", *arguments: object) -> "Result | None":
    """Call a part of the hook; what goes wrong in it becomes an event."""
    try:
        return function(*arguments)
    except Exception as error:
        emit("hook.failed", "warning", step=step, error=f"{type(error).__name__}: {error}"[:500])
        return None


def become(rank: int, how: str) -> bool:
    """Take the claim of `rank`; False where another living process has it by right."""
    if me.is_rank() and me.rank == rank and me.is_announced:
        was, me.how = me.how, how
        if was != how:  # no longer provisional
            _say_claimed()
        return True
    if not os.path.isdir(me.spool) or not may_claim(rank, how):
        return False
    if me.is_announced:
        from . import faults

        quiet("faults", faults.release)
    me.rank, me.how, me.is_announced, me.has_group = rank, how, False, False
    if how != "command":
        announce()
    return True


def may_claim(rank: int, how: str) -> bool:
    """A claim is free, its holder is gone, or it is a process group's against a holder without one."""
    other = holder(rank)
    if other is None or other[0] == me.pid or ticks(other[0]) != other[1]:
        return True
    if how == "process_group":
        return not other[2]
    return how == "environment" and (other[3] or other[4] != claim.key(os.environ))


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


def write_claim() -> None:
    """Say in the spool that this process is the rank."""
    data = {
        "pid": me.pid,
        "start_ticks": ticks(me.pid),
        "key": claim.key(os.environ),
        "has_process_group": me.has_group,
        "provisional": me.how == "command",
    }
    write_whole(names.claim_path(me.spool, me.attempt, me.rank), dumps(data))


def announce() -> None:
    """Claim file, state page, stack signal, `rank.claimed`; once. The command does it late, or never."""
    from . import faults, state

    me.is_announced = True
    if me.how == "command" and is_claimed(even_gone=me.is_leaving):
        me.rank = -1
        return
    if me.page is not None:
        me.kept.append(me.page)
        me.page = None
    os.environ[claim.MARK] = f"{me.pid};{claim.key(os.environ)}"
    me.claimed_at = time()
    run, node = os.environ.get("DIAGNOSE_RUN", ""), os.uname().nodename
    stamp: "dict[str, object]" = {"run": run, "attempt": me.attempt, "node": node, "rank": me.rank}
    me.log = Log(names.events_path(me.spool, me.attempt, names.rank_name(me.rank)), stamp)
    for folder in ("events", "state", "claims", "faults", "errors"):
        os.makedirs(f"{names.attempt_dir(me.spool, me.attempt)}/{folder}", 0o700, exist_ok=True)
    quiet("claim", write_claim)
    path = names.state_path(me.spool, me.attempt, me.rank)
    me.page = quiet("state", state.Page, path, me.pid, ticks(me.pid))
    quiet("faults", faults.register)
    _say_claimed()


def _say_claimed() -> None:
    data: "dict[str, object]" = {
        "pid": me.pid,
        "start_ticks": ticks(me.pid),
        "ppid": os.getppid(),
        "local_rank": number("LOCAL_RANK"),
        "world_size": me.world_size or number("WORLD_SIZE"),
        "restart_count": number("TORCHELASTIC_RESTART_COUNT"),
        "how": me.how,
        "python": sys.version.split()[0],
        "argv": quiet("argv", _argv),
        "stack_signal": me.stack_signal,
        "stack_fd": me.stack_fd,
        "socket": me.socket,
    }
    if me.how == "command":
        data.update(provisional=True, world_size=1)
    if me.log is not None:
        me.log.append("rank.claimed", "info", data)


def is_claimed(even_gone: bool) -> bool:
    """Has another process been a rank of this attempt? A provisional one counts while it lives."""
    try:
        found = os.listdir(names.attempt_dir(me.spool, me.attempt) + "/claims")
    except OSError:
        return False
    others = [holder(int(name[5:-5])) for name in found if name.endswith(".json") and name[5:-5].isdigit()]
    counted = [one for one in others if one is not None and one[0] != me.pid]
    return any(
        even_gone or not is_provisional or ticks(pid) == start for pid, start, _, is_provisional, _ in counted
    )


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


def _argv() -> str:
    from .hints import may_hold_secret
    from .start import argv

    words = argv()
    text = " ".join(words)
    if may_hold_secret(text):
        from .redact import redact_argv

        text = redact_argv(words)
    return text[:2000]


def number(name: str) -> "int | None":
    """A whole number in the environment."""
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else None

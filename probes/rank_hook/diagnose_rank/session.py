"""Who this process is: no rank, perhaps a rank, or a rank; and the one way for the hook's parts to say something."""

import os
import sys
from time import time

from . import claim, names
from .events import Log, dumps, write_whole


class Session:
    """What this process knows of itself. `rank` is -1 while it is none; a forked child starts afresh."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.rank = -1
        self.how = ""  # environment, process_group, command
        self.is_announced = False
        self.has_group = False
        self.claimed_at = 0.0
        self.page = None
        self.log = None
        self.stack_signal, self.stack_fd = 0, -1
        self.socket = None
        self.kept = []  # pages of a former self: freeing one would close a descriptor number
        self.is_armed = False
        self.is_free = False  # may become rank 0 of 1 by importing torch
        self.is_leaving = False
        self.is_signal_taken = False
        self.num_inits = 0
        self.num_groups = 0

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


def emit(event, level="info", **data):
    """Write an event of this rank; nothing where this process is no rank, or no longer. Raises nothing."""
    try:
        if not me.is_rank():
            return
        if not me.is_announced:
            announce()
        if me.is_rank() and (me.has_group or _still_mine()):
            me.log.append(event, level, data)
    except Exception:  # the program comes first
        pass


def quiet(step, function, *arguments):
    """Call a part of the hook; what goes wrong in it becomes an event."""
    try:
        return function(*arguments)
    except Exception as error:
        emit("hook.failed", "warning", step=step, error=f"{type(error).__name__}: {error}"[:500])
        return None


def become(rank, how):
    """Take the claim of `rank`; False where another living process has it by right."""
    if me.is_rank() and me.rank == rank and me.is_announced:
        me.how = how
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


def may_claim(rank, how):
    """A claim is free, its holder is gone, or it is a process group's against a holder without one."""
    other = holder(rank)
    if other is None or other[0] == me.pid or ticks(other[0]) != other[1]:
        return True
    if how == "process_group":
        return not other[2]
    return how == "environment" and (other[3] or other[4] != claim.key(os.environ))


def holder(rank):
    """(pid, start ticks, has a process group, is provisional, key) of the claim on `rank`; None where there is none."""
    try:
        with open(names.claim_path(me.spool, me.attempt, rank), "rb") as file:
            text = file.read()
        pid, start = (int(text.split(b'"%s":' % key)[1].split(b",")[0]) for key in (b"pid", b"start_ticks"))
    except (OSError, ValueError, IndexError):
        return None
    key = text.partition(b'"key":"')[2].partition(b'"')[0].decode(errors="replace")
    return pid, start, b'"has_process_group":true' in text, b'"provisional":true' in text, key


def write_claim():
    """Say in the spool that this process is the rank."""
    data = {
        "pid": me.pid,
        "start_ticks": ticks(me.pid),
        "key": claim.key(os.environ),
        "has_process_group": me.has_group,
        "provisional": me.how == "command",
    }
    write_whole(names.claim_path(me.spool, me.attempt, me.rank), dumps(data))


def announce():
    """Claim file, state page, stack signal, `rank.claimed`; once. A rank by command does it late, or never."""
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
    stamp = {key: os.environ.get(f"DIAGNOSE_{key.upper()}", "") for key in ("run",)}
    stamp.update(attempt=me.attempt, node=os.uname().nodename, rank=me.rank)
    me.log = Log(names.events_path(me.spool, me.attempt, names.rank_name(me.rank)), stamp)
    for folder in ("events", "state", "claims", "faults", "errors"):
        os.makedirs(f"{names.attempt_dir(me.spool, me.attempt)}/{folder}", 0o700, exist_ok=True)
    start = ticks(me.pid)
    quiet("claim", write_claim)
    me.page = quiet("state", state.Page, names.state_path(me.spool, me.attempt, me.rank), me.pid, start)
    quiet("faults", faults.register)
    data = {
        "pid": me.pid,
        "start_ticks": start,
        "ppid": os.getppid(),
        "local_rank": _number("LOCAL_RANK"),
        "world_size": _number("WORLD_SIZE"),
        "restart_count": _number("TORCHELASTIC_RESTART_COUNT"),
        "how": me.how,
        "python": sys.version.split()[0],
        "argv": quiet("argv", _argv),
        "stack_signal": me.stack_signal,
        "stack_fd": me.stack_fd,
        "socket": me.socket,
    }
    if me.how == "command":
        data.update(provisional=True, world_size=1)
    me.log.append("rank.claimed", "info", data)


def is_claimed(even_gone):
    """Has another process been a rank of this attempt? One that was only provisional counts while it lives."""
    try:
        found = os.listdir(names.attempt_dir(me.spool, me.attempt) + "/claims")
    except OSError:
        return False
    others = [holder(int(name[5:-5])) for name in found if name.endswith(".json") and name[5:-5].isdigit()]
    return any([
        one is not None and one[0] != me.pid and (even_gone or not one[3] or ticks(one[0]) == one[1]) for one in others
    ])


def argv():
    """The interpreter's command line, whole; `sys.argv` is not there yet when the hook starts."""
    found = getattr(sys, "orig_argv", None)
    if found:
        return list(found)
    with open("/proc/self/cmdline", "rb") as file:
        return [word.decode(errors="replace") for word in file.read().rstrip(b"\0").split(b"\0")]


def ticks(pid):
    """Start time of a process in clock ticks; 0 where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _still_mine():
    other = holder(me.rank)
    if other is None or other[0] == me.pid:
        return True
    me.rank = -1
    return False


def _argv():
    from .hints import may_hold_secret

    words = argv()
    text = " ".join(words)
    if may_hold_secret(text):
        from .redact import redact_argv

        text = redact_argv(words)
    return text[:2000]


def _number(name):
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else None

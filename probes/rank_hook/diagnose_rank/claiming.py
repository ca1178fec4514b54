"""Taking a rank, and saying so: claim file, state page, stack signal, `rank.claimed`."""

import os
import sys
from time import monotonic

from . import claim, faults, names
from .events import Log, dumps, write_whole
from .session import Session, holder, me, number, quiet, ticks


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
    from . import state

    me.is_announced = True
    if me.how == "command" and is_claimed(even_gone=me.is_leaving):
        me.rank = -1
        return
    if me.page is not None:
        me.kept.append(me.page)
        me.page = None
    os.environ[claim.MARK] = f"{me.pid};{claim.key(os.environ)}"
    me.claimed_at = monotonic()
    run, node = os.environ.get("DIAGNOSE_RUN", ""), os.environ.get("DIAGNOSE_NODE") or os.uname().nodename
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
    if "NCCL_HOSTID" in os.environ:
        data["host_id"] = os.environ["NCCL_HOSTID"]
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


def _argv() -> str:
    from .hints import may_hold_secret

    words = claim.argv()
    text = " ".join(words)
    if may_hold_secret(text):
        from .redact import redact_argv

        text = redact_argv(words)
    return text[:2000]


Session.announce = staticmethod(announce)

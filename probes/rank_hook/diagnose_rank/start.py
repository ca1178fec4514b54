"""Where the hook begins: decides what this process may be, and arms only what that needs."""

import os

from . import claim
from .session import argv, become, emit, me, quiet
from .torch_import import when_imported

# Module the program imports -> the part of the hook that follows it.
_RANK_PARTS = (
    ("signal", "faults"),
    ("threading", "errors"),
    ("torch.optim.optimizer", "steps"),
    ("torch._dynamo.callback", "compile"),
)


def start():
    """Called once, by `sitecustomize`, before the program."""
    role = claim.role(os.environ, argv(), me.pid, os.getppid())
    if not role or not os.path.isdir(me.spool):
        return
    os.register_at_fork(after_in_child=_forked)
    me.is_free = role == "late"
    if role in ("rank", "command"):
        rank = int(os.environ["RANK"]) if role == "rank" else 0
        if become(rank, "environment" if role == "rank" else "command"):
            arm_rank()
    when_imported("torch.distributed.distributed_c10d", _part("groups"))
    if role != "waiting":
        when_imported("torch", _torch_imported, _torch_begins)


def arm_rank():
    """Follow what a rank does; once per process."""
    if me.is_armed:
        return
    me.is_armed = True
    import atexit

    from . import errors

    atexit.register(_exit)
    quiet("errors", errors.install)
    for module, part in _RANK_PARTS:
        when_imported(module, _part(part))


def _part(name):
    def load(module, seconds):
        quiet(name, _patch, name, module)

    return load


def _patch(name, module):
    __import__(f"{__package__}.{name}", None, None, ["patch"]).patch(module)


def _torch_begins():
    if not me.is_rank() and me.is_free:
        quiet("claim", _late)
    if me.is_rank():
        from . import faults
        from .session import announce

        if not me.is_announced:
            quiet("claim", announce)
        quiet("ptrace", faults.allow_ptrace)


def _late():
    from .session import is_claimed

    if not is_claimed(even_gone=False) and become(0, "command"):
        arm_rank()


def _torch_imported(module, seconds):
    if me.page is not None:
        quiet("state", me.page.keep)  # torch has loaded ctypes by now
    version = getattr(module, "version", None)
    emit(
        "torch.imported",
        torch=str(getattr(module, "__version__", "")),
        cuda=getattr(version, "cuda", None),
        seconds=None if seconds is None else round(seconds, 3),
    )


def _forked():
    from . import faults

    quiet("fork", faults.forget)
    kept, is_armed = [*me.kept, me.page], me.is_armed
    me.__init__()  # type: ignore[misc]
    me.kept, me.is_armed = kept, is_armed


def _exit():
    me.is_leaving = True
    if me.is_rank():
        from . import errors

        quiet("errors", errors.at_exit)
        emit("rank.exiting")
        if me.page is not None:
            me.page.flag(4)
    for page in [*me.kept, me.page]:
        if page is not None:
            quiet("state", page.keep_if_needed)

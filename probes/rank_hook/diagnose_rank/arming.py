"""Makes a process follow itself as a rank: what is installed, when, and what fork and exit take back."""

import os

from .claiming import announce, become, is_claimed
from .session import emit, leave, me, quiet
from .torch_import import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

# Module the program imports -> the part of the hook that follows it.
_PARTS = (
    ("signal", "faults"),
    ("threading", "errors"),
    ("torch.optim.optimizer", "steps"),
    ("torch._dynamo.callback", "compile"),
    ("torch.nn.parallel.distributed", "wrappers"),
    ("torch.distributed.fsdp.fully_sharded_data_parallel", "wrappers"),
    ("torch.distributed.fsdp._fully_shard._fully_shard", "wrappers"),
    ("torch.distributed._composable.fsdp.fully_shard", "wrappers"),
    ("torch.distributed.tensor.parallel.api", "wrappers"),
    ("torch.distributed.pipelining.stage", "wrappers"),
)


def begin_rank(rank: int) -> None:
    """A rank by its environment."""
    if become(rank, "environment"):
        arm()
        when_imported("torch", _torch_imported, _torch_begins)


def begin_command() -> None:
    """Rank 0 of 1, said when torch is imported or at exit, unless a rank shows up below."""
    if become(0, "command"):
        arm()
        when_imported("torch", _torch_imported, _torch_begins)


def begin_late() -> None:
    """The same for a Python below a shell or a script, which is about to import torch."""
    if os.getpid() == me.pid and not me.is_child and not is_claimed(even_gone=False):
        begin_command()
        _torch_begins()


def arm() -> None:
    """Follow what a rank does; once per process."""
    if me.is_armed:
        return
    me.is_armed = True
    import atexit

    from . import errors

    atexit.register(_exit)
    quiet("errors", errors.install)
    for name, part in _PARTS:
        _follow(name, part)


def _follow(name: str, part: str) -> None:
    def imported(module: "ModuleType", seconds: "float | None") -> None:
        load_part(part, module)

    when_imported(name, imported)


def load_part(part: str, module: "ModuleType") -> None:
    """Hand a module that the program has imported to the part of the hook that follows it."""
    quiet(part, lambda: __import__(f"{__package__}.{part}", None, None, ["patch"]).patch(module))


def _torch_begins() -> None:
    if not me.is_rank():
        return
    if not me.is_announced:
        quiet("claim", announce)
    from . import faults

    quiet("ptrace", faults.allow_ptrace)


def _torch_imported(module: "ModuleType", seconds: "float | None") -> None:
    if me.page is not None:
        quiet("state", me.page.keep)  # torch has loaded ctypes by now
    emit(
        "torch.imported",
        torch=str(getattr(module, "__version__", "")),
        cuda=getattr(getattr(module, "version", None), "cuda", None),
        seconds=None if seconds is None else round(seconds, 3),
    )


def _forked() -> None:
    from . import faults

    quiet("fork", faults.forget)
    me.forked()


def _exit() -> None:
    me.is_leaving = True
    if me.is_rank():
        from . import errors

        quiet("errors", errors.at_exit)
        leave()
        if me.socket is not None:  # what is asked while C++ tears down what it would read may crash
            quiet("control", os.unlink, me.socket)
    for page in [*me.kept, me.page]:
        if page is not None:
            quiet("state", page.keep_if_needed)


os.register_at_fork(after_in_child=_forked)

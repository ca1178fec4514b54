"""Where the hook begins: decides what this process may be, and loads only what that needs."""

import os

from . import claim
from .torch_import import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

C10D = "torch.distributed.distributed_c10d"


def start() -> None:
    """Called once, by `sitecustomize`, before the program."""
    role = claim.role(os.environ, claim.argv(), os.getpid(), os.getppid())
    if not role or not os.path.isdir(os.environ["DIAGNOSE_SPOOL"]):
        return
    when_imported(C10D, _group_makers)
    if role == "rank":
        from . import arming

        arming.begin_rank(int(os.environ["RANK"]))
    elif role == "command":
        from . import arming

        arming.begin_command()
    elif role == "late":
        when_imported("torch", _ignore, _torch_begins)


def _group_makers(module: "ModuleType", seconds: "float | None") -> None:
    from . import arming

    arming.load_part("groups", module)


def _torch_begins() -> None:
    from . import arming

    arming.begin_late()


def _ignore(module: "ModuleType", seconds: "float | None") -> None:
    return

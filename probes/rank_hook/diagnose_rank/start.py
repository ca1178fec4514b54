"""Where the hook begins: decides what this process may be, and loads only what that needs."""

import os
import sys

from . import claim
from .torch_import import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

C10D = "torch.distributed.distributed_c10d"


def start() -> None:
    """Called once, by `sitecustomize`, before the program."""
    role = claim.role(os.environ, argv(), os.getpid(), os.getppid())
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


def argv() -> "list[str]":
    """The interpreter's command line, whole; `sys.argv` is not there yet when the hook starts."""
    found = getattr(sys, "orig_argv", None)
    if found:
        return list(found)
    with open("/proc/self/cmdline", "rb") as file:
        return [word.decode(errors="replace") for word in file.read().rstrip(b"\0").split(b"\0")]


def _group_makers(module: "ModuleType", seconds: "float | None") -> None:
    from . import arming

    arming.load_part("groups", module)


def _torch_begins() -> None:
    from . import arming

    arming.begin_late()


def _ignore(module: "ModuleType", seconds: "float | None") -> None:
    return

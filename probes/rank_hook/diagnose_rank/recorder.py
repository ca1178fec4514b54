"""The flight recorder, asked from inside: where nobody else can ask it, or nobody else has the time to."""

import os
import sys

from . import names
from .events import write_bytes
from .session import emit, me

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Newest first. JSON takes a millisecond; a pickle also tells where each call was made.
_MAKERS = ("_dump_fr_trace_json", "_dump_nccl_trace_json", "_dump_fr_trace", "_dump_nccl_trace")
RAISED = "raised"  # the folder of the dumps of ranks that raise
_reported: "list[int]" = []


def maker() -> "Callable[[], object] | None":
    """What dumps this torch's recorder; None where there is none, or torch is not imported."""
    c10d = sys.modules.get("torch._C._distributed_c10d")
    return next((make for name in _MAKERS if (make := getattr(c10d, name, None)) is not None), None)


def body() -> bytes:
    """This rank's dump, JSON or pickle; empty where this torch has no recorder. Needs the interpreter."""
    make = maker()
    told = b"" if make is None else make()
    return told if isinstance(told, bytes) else b""


def at_raise() -> None:
    """Leave the dump of a rank that an exception ends, once: a launcher leaves it and its peers no time.

    Only where all groups are gloo's: NCCL's recorder asks the device, which may not answer after a failure.
    """
    pid = os.getpid()
    if not me.is_rank() or not me.backends or me.backends != {"gloo"} or pid in _reported:
        return
    _reported[:] = [pid]
    told = body()
    if not told:
        return
    path = names.raised_path(me.spool, me.attempt, me.rank)
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    write_bytes(path, told)
    emit("flight.dumped", path=os.path.relpath(path, me.spool), dir=RAISED)

"""The exception that ends a rank: an event at once, and a file in torchelastic's form."""

import os
import sys
from time import time

from . import names
from .events import dumps, write_whole
from .session import emit, leave, me, quiet

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading as threading_module
    from types import ModuleType, TracebackType

_MESSAGE, _FRAMES, _TEXT = 2000, 20, 100_000
_reported: "list[BaseException]" = []
_children: "list[int]" = []


def install() -> None:
    """Stand before the present `sys.excepthook`; again, where the program or torch has put its own."""
    before = sys.excepthook
    if getattr(before, "_diagnose_pid", None) == os.getpid():
        return

    def excepthook(
        kind: "type[BaseException]", value: BaseException, traceback: "TracebackType | None"
    ) -> None:
        quiet("errors", report, value, traceback, "MainThread")
        before(kind, value, traceback)

    excepthook._diagnose_pid = os.getpid()  # type: ignore[attr-defined]
    sys.excepthook = excepthook


def patch(threading: "ModuleType") -> None:
    """Threads that die of an exception, of which the process may know nothing."""
    before = threading.excepthook

    def excepthook(args: "threading_module.ExceptHookArgs", /) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            name = getattr(args.thread, "name", None)
            quiet("errors", report, args.exc_value, args.exc_traceback, name or "unknown")
        before(args)

    threading.excepthook = excepthook  # type: ignore[attr-defined]


def at_exit() -> None:
    """An excepthook of the program may not call ours: the interpreter remembers what it was given."""
    value = getattr(sys, "last_value", None)
    if value is not None and not hasattr(sys.excepthook, "_diagnose_pid"):
        report(value, getattr(sys, "last_traceback", None), "MainThread")


def follow_child(process: "ModuleType") -> None:
    """A `multiprocessing` child prints its exception and leaves by `os._exit`: look while it cleans up."""
    if process.parent_process() is None or os.getpid() in _children:
        return
    _children[:] = [os.getpid()]
    from multiprocessing import util

    util.Finalize(None, _child_ends, exitpriority=1000)


def _child_ends() -> None:
    if not me.is_rank():
        return
    value: "BaseException | None" = sys.exc_info()[1]
    if isinstance(value, SystemExit):  # torch.multiprocessing turns an exception into sys.exit(1)
        value = value.__context__
    if value is not None:
        quiet("errors", report, value, value.__traceback__, "MainThread")
    leave()


def report(value: BaseException, traceback: "TracebackType | None", thread: str) -> None:
    """Event and file for one exception; the file only for the main thread's, which ends the process."""
    if not me.is_rank() or any([one is value for one in _reported]):
        return
    if thread == "MainThread":  # a thread's exception comes once, and what it holds is to be freed
        _reported[:] = [value]
    if me.has_group and thread == "MainThread" and not isinstance(value, KeyboardInterrupt):
        from . import recorder

        quiet("recorder", recorder.at_raise)  # first: a launcher that ends the others is as fast
    frames = _frames(traceback)
    if isinstance(value, KeyboardInterrupt):
        # Loading more would run `eval`, and the interpreter would forget that it is to end by SIGINT.
        emit("exception.raised", "error", type=type(value).__name__, message="", frames=frames, thread=thread)
        return
    from traceback import TracebackException

    from .redact import redact

    kind = type(value).__name__
    text = redact(_text_of(value))[:_MESSAGE]
    data: "dict[str, object]" = {"type": kind, "message": text, "frames": frames, "thread": thread}
    emit("exception.raised", "error", **data)
    if thread != "MainThread":
        return
    whole = "".join(TracebackException(type(value), value, traceback).format())
    inner = {
        "message": f"{kind}: {text}",
        "extraInfo": {"py_callstack": redact(whole)[-_TEXT:], "timestamp": str(int(time()))},
    }
    if me.is_rank():
        path = names.errors_path(me.spool, me.attempt, me.rank)
        write_whole(path, dumps({"message": inner, "rank": me.rank, "pid": me.pid}))


def _frames(traceback: "TracebackType | None") -> "list[str]":
    found = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found.append(f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}")
        traceback = traceback.tb_next
    return found[-_FRAMES:]


def _text_of(value: BaseException) -> str:
    try:
        return str(value)
    except Exception:  # a broken __str__ is the program's business
        return "<no text: its __str__ failed>"

"""PyTorch's own worker server on a unix socket: its C++ threads answer while the rank holds the GIL.

Where this torch has none, or it does not start, a thread of ours answers for the flight recorder alone.
"""

import os
import sys

from . import names
from .session import emit, me, quiet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def serve() -> None:
    """Start one of them, once; it lives until the process does."""
    c10d = sys.modules.get("torch._C._distributed_c10d")
    if c10d is None or me.socket is not None:
        return
    path = names.socket_path(me.spool, me.rank, me.pid)
    if len(os.fsencode(path)) > 107:
        raise OSError(f"path too long for a unix socket: {path}")
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    if os.path.exists(path):  # left by the program this one replaced by exec
        os.unlink(path)
    server_type = getattr(c10d, "_WorkerServer", None)
    is_torchs = server_type is not None and quiet("control", _torchs, server_type, path) is not None
    if not is_torchs:
        from . import answering, recorder

        if recorder.maker() is None:
            return
        if os.path.exists(path):  # of the server that did not start
            os.unlink(path)
        answering.serve(path)
    me.socket = path
    emit("control.listening", socket=path, by="torch" if is_torchs else "hook")


def _torchs(server_type: "Any", path: str) -> bool:
    """Never let it be freed: its destructor may hang."""
    server = server_type(path)
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))
    return True

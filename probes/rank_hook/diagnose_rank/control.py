"""PyTorch's own worker server on a unix socket: its C++ threads answer while the rank holds the GIL."""

import os
import sys

from . import names
from .session import emit, me


def serve() -> None:
    """Start it, where this torch has one. It lives until the process does: its destructor may hang."""
    c10d = sys.modules.get("torch._C._distributed_c10d")
    server_type = getattr(c10d, "_WorkerServer", None)
    if server_type is None or me.socket is not None:
        return
    path = names.socket_path(me.spool, me.rank, me.pid)
    if len(os.fsencode(path)) > 107:
        raise OSError(f"path too long for a unix socket: {path}")
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    if os.path.exists(path):  # left by the program this one replaced by exec
        os.unlink(path)
    server = server_type(path)
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))
    me.socket = path
    emit("control.listening", socket=path)

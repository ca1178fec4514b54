"""A thread of the rank that answers for its flight recorder where torch has no control server.

It speaks as much of that HTTP as `probes.control` asks for, at the same path, and sleeps until then.
Unlike torch's own it needs the interpreter: a rank that holds it does not answer.
"""

import _thread
import os

from . import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket

_MOST, _LIMIT_S = 4096, 2.0
_HANDLERS: "dict[str, Callable[[], bytes]]" = {"ping": lambda: b"pong", "fr_trace_json": recorder.body}


def serve(path: str) -> None:
    """Listen at `path`. Raises OSError."""
    import socket

    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(path)
        os.chmod(path, 0o600)
        server.listen(8)
    except OSError:
        server.close()
        raise
    # Not by `threading`: a program counts and joins its threads there.
    _thread.start_new_thread(_answer_all, (server, os.getpid()))


def _answer_all(server: "Socket", pid: int) -> None:
    while os.getpid() == pid:
        try:
            caller, _ = server.accept()
        except OSError:
            return
        try:
            _answer(caller)
        except Exception:  # the caller has gone, or the recorder refuses: the next one may be luckier
            pass
        finally:
            caller.close()


def _answer(caller: "Socket") -> None:
    caller.settimeout(_LIMIT_S)
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _MOST:
        part = caller.recv(_MOST)
        if not part:
            return
        head += part
    words = head.split(b" ", 2)
    name = words[1].decode("ascii", "replace").rpartition("/")[2].partition("?")[0] if len(words) > 1 else ""
    handler = _HANDLERS.get(name) if words[0] == b"POST" else None
    status, body = "404 Not Found", b""
    if handler is not None:
        try:
            status, body = "200 OK", handler()
        except Exception as error:
            status, body = "500 Internal Server Error", f"{type(error).__name__}: {error}"[:500].encode()
    caller.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

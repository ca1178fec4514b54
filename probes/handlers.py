"""Is a line of a program inside an `except` block? Then an exception was raised, and caught there.

Frames say where a thread is; the source says what that means. Nothing runs in the program for it.
"""

import ast
import json
import os
from collections.abc import Hashable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from probes import deadline

K = TypeVar("K", bound=Hashable)
_MOST = 2 << 20  # bytes of a source file
_FOREIGN = ("site-packages", "dist-packages", "/lib/python", "<")
_OWN_S = 1.0  # the program's files may lie on a file system that does not answer
Threads = list[dict[str, Any]]
Spans = list[
    tuple[int, int, str]
]  # first and last line, what is caught there; nothing in a function's own lines


def spans(source: bytes) -> Spans:
    """The bodies of handlers and of functions, inner ones last; empty for what does not parse.

    >>> spans(b"try:\\n  f()\\nexcept (KeyError, OSError):\\n  g()\\nexcept:\\n  h()\\n")
    [(4, 4, 'KeyError, OSError'), (6, 6, 'everything')]
    """
    try:
        nodes = [*ast.walk(ast.parse(source))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    handlers = [(one.body, names(one.type)) for one in nodes if isinstance(one, ast.ExceptHandler)]
    functions = [(one.body, "") for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted((b[0].lineno, b[-1].end_lineno or b[-1].lineno, name) for b, name in handlers + functions)


def names(caught: ast.expr | None) -> str:
    """What a handler catches, as it is written."""
    if caught is None:
        return "everything"
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return ", ".join(ast.unparse(part) for part in parts)[:200]


def places(path: str, pid: int) -> Iterator[str]:
    """Where a file that a process names may be read from here: it may live in a container."""
    if os.path.isabs(path):
        yield f"/proc/{pid}/root{path}"
        yield path
    else:
        yield f"/proc/{pid}/cwd/{path}"


def marked(found: dict[K, Threads | str]) -> dict[K, Threads | str]:
    """The same stacks; frames of main threads in a handler of the program's own code say what is `caught`."""
    mains = {key: main_frames(threads) for key, threads in found.items() if not isinstance(threads, str)}
    places = [
        (frame, frame["filename"], frame["line"], pid)
        for pid, frames in mains.values()
        for frame in frames
        if isinstance(frame.get("filename"), str) and isinstance(frame.get("line"), int)
    ]

    def look() -> bytes:
        return json.dumps([caught(*place) for _, *place in places]).encode()

    names = json.loads(deadline.call(look, _OWN_S) or b"[]") if places else []
    for (frame, *_), name in zip(places, names, strict=False):
        if name:
            frame["caught"] = name
    return found


def main_frames(threads: Threads) -> tuple[int, list[dict[str, Any]]]:
    """The process, and its main thread's frames, innermost first."""
    for thread in threads:
        pid = thread.get("pid")
        if isinstance(pid, int) and (
            thread.get("thread_name") == "MainThread" or thread.get("os_thread_id") == pid
        ):
            return pid, thread.get("frames") or []
    return 0, []


def caught(path: str, line: int, pid: int) -> str:
    """What the innermost handler around a line catches; empty outside any, and in installed code."""
    if any(part in path for part in _FOREIGN):
        return ""
    for place in places(path, pid):
        try:
            now = os.stat(place)
            found = _read(place, now.st_dev, now.st_ino, now.st_mtime_ns)
        except OSError:
            continue
        return next((name for first, last, name in reversed(found) if first <= line <= last), "")
    return ""


@lru_cache(maxsize=256)
def _read(place: str, *_: int) -> Spans:
    with open(place, "rb") as file:
        return spans(file.read(_MOST))

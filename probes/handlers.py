"""Is a line of a program inside an `except` block? Then an exception was raised, and caught there.

Frames say where a thread is; the source says what that means. Nothing runs in the program for it.
"""

import ast
import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_MOST = 2 << 20  # bytes of a source file
_FOREIGN = ("site-packages", "dist-packages", "/lib/python", "<")
Spans = list[tuple[int, int, str]]  # first and last line of a handler's body, what it catches


def spans(source: bytes) -> Spans:
    """Every handler's body, inner ones last; empty for what does not parse.

    >>> spans(b"try:\\n  f()\\nexcept (KeyError, OSError):\\n  g()\\nexcept:\\n  h()\\n")
    [(4, 4, 'KeyError, OSError'), (6, 6, 'everything')]
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return sorted(
        (one.body[0].lineno, one.body[-1].end_lineno or one.body[-1].lineno, names(one.type))
        for one in ast.walk(tree)
        if isinstance(one, ast.ExceptHandler)
    )


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


def mark(threads: list[dict[str, Any]], pid: int) -> None:
    """Add `caught` to the main thread's frames whose line stands in a handler of the program's own code."""
    for thread in threads:
        if thread.get("thread_name") == "MainThread" or thread.get("os_thread_id") == pid:
            for frame in thread.get("frames") or ():
                path, line = frame.get("filename"), frame.get("line")
                if isinstance(path, str) and isinstance(line, int) and (name := caught(path, line, pid)):
                    frame["caught"] = name


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

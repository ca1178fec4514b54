"""Is a line of a program inside an `except` block? Then an exception was raised, and caught there.

Frames say where a thread is; the source says what that means. Nothing runs in the program for it.
"""

import ast
import json
from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar

from probes import deadline, source

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_OWN_S = 1.0  # the program's files may lie on a file system that does not answer
Spans = list[tuple[int, int, str]]  # first and last line, what is caught there; "" in a function's own lines


@cache
def spans(tree: ast.Module) -> Spans:
    """The bodies of handlers and of functions, inner ones last.

    >>> spans(ast.parse("try:\\n  f()\\nexcept (KeyError, OSError):\\n  g()\\nexcept:\\n  h()\\n"))
    [(4, 4, 'KeyError, OSError'), (6, 6, 'everything')]
    """
    nodes = [*ast.walk(tree)]
    handlers = [(one.body, names(one.type)) for one in nodes if isinstance(one, ast.ExceptHandler)]
    functions = [(one.body, "") for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return sorted((b[0].lineno, b[-1].end_lineno or b[-1].lineno, name) for b, name in handlers + functions)


def names(caught: ast.expr | None) -> str:
    """What a handler catches, as it is written."""
    if caught is None:
        return "everything"
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return ", ".join(ast.unparse(part) for part in parts)[:200]


def marked(found: dict[K, V]) -> dict[K, V]:
    """The same stacks; frames of main threads in a handler of the program's own code say what is `caught`."""
    mains = [source.main_thread(threads) for threads in found.values() if isinstance(threads, list)]
    places: list[tuple[dict[str, Any], str, int, int]] = [
        (frame, str(frame["filename"]), frame["line"], main["pid"])
        for main in mains
        for frame in source.own_frames(main)
        if isinstance(frame.get("line"), int) and isinstance(main.get("pid"), int)
    ]

    def look() -> bytes:
        return json.dumps([caught(path, line, pid) for _, path, line, pid in places]).encode()

    names = json.loads(deadline.call(look, _OWN_S) or b"[]") if places else []
    for (frame, *_), name in zip(places, names, strict=False):
        if name:
            frame["caught"] = name
    return found


def caught(path: str, line: int, pid: int) -> str:
    """What the innermost handler around a line catches; empty outside any."""
    tree = source.tree(path, pid)
    around = reversed(spans(tree)) if tree else ()
    return next((name for first, last, name in around if first <= line <= last), "")

"""Where in its program a rank stands: the text of each call on its stack, and the loops around it.

Read from the program's source files: ask in a child.
"""

import ast
import os
from collections.abc import Iterator, Sequence
from typing import Any

from probes import source
from probes.redact import redact

_TEXT = 200
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def of_frames(frames: Sequence[source.Frame], pid: int) -> list[dict[str, Any]]:
    """One entry a frame of a process whose source could be read."""
    found = []
    for frame in frames:
        name, path, line = str(frame.get("name")), str(frame.get("filename")), frame.get("line")
        tree = source.tree(path, pid)
        if tree is None or not isinstance(line, int):
            continue
        call, loops, arms = place(tree, line)
        short = f"{name} ({os.path.basename(path)}:{line})"
        found.append({"frame": short, "path": path, "line": line, "loops": loops, "arms": arms, "call": call})
    return found


def place(tree: ast.AST, line: int) -> tuple[str, list[list[int]], list[list[int]]]:
    """The call at a line; the loops of its function around it, outermost first, as [first, last]; and the
    branches it is in, as [line of the `if`, 1 where it holds, else 0, 1 where the branch leads elsewhere].

    >>> place(ast.parse("for n in range(9):\\n    step(n)\\nsave()"), 2)
    ('step(n)', [[1, 2]], [])
    >>> place(ast.parse("if n:\\n    step(n)\\nelse:\\n    save()"), 4)
    ('save()', [], [[1, 0, 0]])
    """
    loops: list[list[int]] = []
    arms: list[list[int]] = []
    calls: list[ast.Call] = []
    for node in around(tree, line):
        if isinstance(node, _FUNCTIONS):
            loops, arms, calls = [], [], []
        elif isinstance(node, _LOOPS):
            loops.append([node.lineno, node.end_lineno or node.lineno])
        elif isinstance(node, ast.If) and line >= node.body[0].lineno:
            holds = line <= (node.body[-1].end_lineno or 0)
            last = (node.body if holds else node.orelse or node.body)[-1]
            arms.append([node.lineno, int(holds), int(isinstance(last, _LEAVES))])
        elif isinstance(node, ast.Call):
            calls.append(node)
    begun = [call for call in calls if call.lineno == line] or calls[-1:]
    return redact(ast.unparse(begun[0]))[:_TEXT] if begun else "", loops, arms


def around(tree: ast.AST, line: int) -> Iterator[ast.AST]:
    """The nodes that hold a line, from the outside in."""
    todo = [tree]
    while todo:
        node = todo.pop()
        first = getattr(node, "lineno", None)
        if first is not None:
            if not first <= line <= (node.end_lineno or first):  # type: ignore[attr-defined]
                continue
            yield node
        todo += reversed(list(ast.iter_child_nodes(node)))

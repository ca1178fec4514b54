"""Ranks that wait for each other: cycles of the wait-for graph, in time linear in its size. Pure.

Tarjan's algorithm over ranks and operations (rank -> what it waits in -> who is absent from that), with an
explicit stack. Absent sets of one group are nested, so its operations are chained: each points to the members
that the one before does not lack, and to that one.
"""

from collections.abc import Sequence

from diagnose.waitgraph import Waiting

Node = tuple[int, int]  # (-1, rank) or (wait, 0)


def edges(waits: Sequence[Waiting]) -> dict[Node, list[Node]]:
    """Who points to what: a rank to the operations it waits in, an operation to the ranks it lacks."""
    found: dict[Node, list[Node]] = {}
    before: dict[int, int] = {}  # group -> its wait at the next lower place
    for num, w in sorted(enumerate(waits), key=lambda pair: pair[1].seq):
        for member in w.waiting:
            found.setdefault((-1, member.rank), []).append((num, 0))
        last = before.get(id(w.group))
        low = waits[last].seq if last is not None else -1
        found[(num, 0)] = [(-1, m.rank) for m in w.awaited if m.launched >= low or last is None]
        if last is not None:
            found[(num, 0)].append((last, 0))
        before[id(w.group)] = num
    return found


def circles(waits: Sequence[Waiting]) -> list[list[int]]:
    """Sets of ranks that wait for each other, and for nobody outside."""
    graph = edges(waits)
    component: dict[Node, int] = {}
    parts = components(graph)
    for num, part in enumerate(parts):
        component.update(dict.fromkeys(part, num))
    leaving = {component[a] for a, targets in graph.items() for b in targets if component[b] != component[a]}
    found = []
    for num, part in enumerate(parts):
        members = [rank for kind, rank in part if kind == -1]
        if len(members) > 1 and num not in leaving:
            found.append(sorted(members))
    return found


def components(graph: dict[Node, list[Node]]) -> list[list[Node]]:
    """Strongly connected components."""
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    path: list[Node] = []
    on_path: set[Node] = set()
    found: list[list[Node]] = []
    for start in graph:
        if start in index:
            continue
        todo = [(start, iter(graph.get(start, ())))]
        index[start] = low[start] = len(index)
        path.append(start)
        on_path.add(start)
        while todo:
            node, targets = todo[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    path.append(target)
                    on_path.add(target)
                    todo.append((target, iter(graph.get(target, ()))))
                    break
                if target in on_path:
                    low[node] = min(low[node], index[target])
            else:
                todo.pop()
                if todo:
                    low[todo[-1][0]] = min(low[todo[-1][0]], low[node])
                if low[node] == index[node]:
                    part = list[Node]()
                    while not part or part[-1] != node:
                        part.append(path.pop())
                        on_path.discard(part[-1])
                    found.append(part)
    return found

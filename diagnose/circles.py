"""Ranks that wait for each other: cycles of the wait-for graph, in time linear in its size. Pure.

Tarjan's algorithm over ranks and operations (rank -> what it waits in -> who holds that up), with an explicit
stack. Who holds up one operation of a group holds up its later ones too, so levels of members are chained.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence

from diagnose.waiting import Group, Key, Member, Waiting

Node = int  # a rank; below 0 the waits, and below those the levels of groups


def edges(waits: Sequence[Waiting]) -> dict[Node, list[Node]]:
    """Who points to what: a rank to the operation that it waits in, an operation to the ranks it lacks.

    Those lack in it that have not launched it, and in order also those that have something older open.
    """
    heads = {(rank, w.group.key, w.seq) for w in waits for rank in w.heads}
    found: dict[Node, list[Node]] = {}
    levels: dict[int, Levels] = {}
    awaited = defaultdict[Key, set[int]](set)
    for w in waits:
        awaited[w.group.key].update(m.rank for m in w.awaited)
    free = -1 - len(waits)
    for num, w in enumerate(waits):
        node = -1 - num
        for rank in sorted(w.heads):
            found.setdefault(rank, []).append(node)
        if w.group.is_pair:
            found[node] = [m.rank for m in w.group.members if holds_up(m, w, heads)]
            continue
        chain = levels.get(id(w.group))
        if chain is None:
            chain = levels[id(w.group)] = Levels(w.group, free, awaited[w.group.key])
            free -= len(chain.known)
        here = chain.members.get(w.seq - 1, [])
        lacking = [m for m in here if not w.group.in_order or (m.rank, w.group.key, w.seq) not in heads]
        found[node] = [m.rank for m in lacking] + chain.below(w.seq - 1)
    for chain in levels.values():
        found.update(chain.edges())
    return found


def holds_up(member: Member, w: Waiting, heads: set[tuple[int, Key, int]]) -> bool:
    """Whether one side of a transfer keeps the other waiting."""
    if member in w.waiting or member.completed >= w.seq or member.launched < 0:
        return False
    rows = member.rows()
    return member.launched < w.seq or not rows or (member.rank, w.group.key, rows[0][0]) not in heads


class Levels:
    """Members of a group by how far they have come, lowest first; the lowest is the node `first`."""

    def __init__(self, group: Group, first: Node, awaited: Container[int]) -> None:
        self.first = first
        self.members: defaultdict[int, list[Member]] = defaultdict(list)
        for member in group.members:
            if member.launched < 0 or not (member.known or member.rank in awaited):
                continue  # no dump shows it: a circle without it is one all the same
            self.members[member.completed if group.in_order else member.launched].append(member)
        self.known = sorted(self.members)

    def below(self, level: int) -> list[Node]:
        """The node of everybody under a level."""
        at = bisect_left(self.known, level)
        return [self.first - (at - 1)] if at else []

    def edges(self) -> Iterator[tuple[Node, list[Node]]]:
        for at, level in enumerate(self.known):
            lower = [self.first - (at - 1)] if at else []
            yield self.first - at, [*(m.rank for m in self.members[level]), *lower]


def circles(waits: Sequence[Waiting]) -> list[list[int]]:
    """Sets of ranks that wait for each other, and for nobody outside who was heard."""
    graph = edges(waits)
    component: dict[Node, int] = {}
    parts = components(graph)
    for num, part in enumerate(parts):
        component.update(dict.fromkeys(part, num))
    leaving = {component[a] for a, targets in graph.items() for b in targets if component[b] != component[a]}
    found = []
    for num, part in enumerate(parts):
        members = [node for node in part if node >= 0]
        if len(members) > 1 and num not in leaving:
            found.append(sorted(members))
    return found


def waiters(waits: Sequence[Waiting], ranks: Iterable[int]) -> set[int]:
    """Ranks that wait for one of these, over any number of others."""
    back = defaultdict[Node, list[Node]](list)
    for node, targets in edges(waits).items():
        for target in targets:
            back[target].append(node)
    todo, found = [*ranks], set[Node]()
    while todo:
        new = set(back[todo.pop()]) - found
        found |= new
        todo += new
    return {node for node in found if node >= 0}


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

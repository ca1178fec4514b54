"""Containers that ran as one cluster: one attempt of the run, on several nodes. Pure.

Each container tells its place in its first event. Their files lie apart, and their ranks are global; but a
process number or a local rank is of one node alone, and so is what a launcher says of them.

>>> known = Clusters()
>>> known.feed("ta-1", {"cluster_id": "cu-7", "node_index": 0})
>>> known.feed("ta-2", {"cluster_id": "cu-7", "node_index": 1, "first_rank": 8})
>>> known.attempt("ta-2"), known.attempt("ta-2-1"), known.attempt("ta-3")
('cu-7', 'cu-7-1', 'ta-3')
"""

from collections.abc import Mapping, Sequence

import msgspec

from diagnose.coverage import attempt_of
from diagnose.model import Event
from diagnose.values import integer, string

PIDS = 10_000_000  # more than a kernel has: `pid` of node 2 is told as 20_000_000 + pid
OWN_PIDS = {"agent", "run", "rank_hook", "launcher_log"}
LISTED = {"launcher.rank_failed", "launcher.failure_listed"}
FIRST = {"container.started", "command.started"}  # each tells the place
CLAIMS = {"rank.claimed", "rank.found"}


class Node(msgspec.Struct, frozen=True):
    attempt: str  # the cluster's, as a whole
    index: int
    name: str
    first_rank: int | None = None


class Clusters:
    """Feed it the first event of each container."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}  # container -> its place

    def feed(self, container: str, told: Mapping[str, object], name: str = "") -> None:
        """One container's word. A cluster that is made anew under the same id is another attempt."""
        cluster, index = string(told.get("cluster_id"), 100), integer(told.get("node_index"))
        if not cluster or index is None or container in self.nodes:
            return
        mine = [one for one in self.nodes.values() if one.attempt.split(".")[0] == cluster]
        before = sum(one.index == index for one in mine)
        attempt = f"{cluster}.{before + 1}" if before else cluster
        first = integer(told.get("first_rank"))
        self.nodes[container] = Node(attempt, index, name or f"node-{index}", first)

    def node(self, attempt: str) -> Node | None:
        """The place of the container that an attempt's name is of; a launcher's restart is in the same."""
        return self.nodes.get(attempt) or self.nodes.get(attempt.rpartition("-")[0])

    def attempt(self, name: str) -> str:
        """What a container's attempt is called where all of its cluster are one."""
        if name in self.nodes:
            return self.nodes[name].attempt
        container, _, restart = name.rpartition("-")
        return f"{self.nodes[container].attempt}-{restart}" if container in self.nodes else name


def of(events: Sequence[Event]) -> Clusters:
    """The clusters of a run; none where no container was in one."""
    found = Clusters()
    first = [e for e in events if e.kind in FIRST]
    for event in sorted(first, key=lambda e: (e.time or 0.0, e.where)):
        found.feed(attempt_of(event.where), event.data, event.node or "")
    return found


def told_apart(events: Sequence[Event], clusters: Clusters) -> Sequence[Event]:
    """The events with what is of one node alone made to be of the whole job: its name, pids, local ranks."""
    if not clusters.nodes:
        return events
    ranks: dict[tuple[str, object], int] = {}
    for event in events:
        if event.kind in CLAIMS and event.rank is not None:
            ranks[attempt_of(event.where), event.data.get("pid")] = event.rank

    def apart(event: Event) -> Event:
        attempt = attempt_of(event.where)
        node = clusters.node(attempt)
        if node is None:
            return event
        rank, data, pid = event.rank, event.data, integer(event.data.get("pid"))
        if rank is None and event.kind in LISTED:
            place = integer(data.get("local_rank"))
            counted = None if place is None or node.first_rank is None else node.first_rank + place
            rank = ranks.get((attempt, pid), counted)
        if pid is not None and node.index and event.source in OWN_PIDS:
            data = {**data, "pid": pid + node.index * PIDS}
        return msgspec.structs.replace(event, rank=rank, node=node.name, data=data)

    return [apart(event) for event in events]

"""Runs the programs of all ranks: hosts that launch ahead of their devices, streams, rendezvous of members.

A collective is done when every member's device has begun it (a rooted one earlier, where it may); a transfer
when both sides have. The order in which ranks get on is drawn at random. A run ends when nothing can move.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.incidents.program import HOST_WAIT, STREAM_WAIT, Call, Step

Key = tuple[object, ...]


@dataclass(eq=False)
class Launched:
    """One launch of one rank."""

    rank: int
    call: Call
    seq: int  # of the collectives, or of the transfers, of this group in this process
    other_seq: int  # the other counter of the same group at this moment
    op_id: int
    record: int
    step: int
    time: int
    after: list["Launched"]
    keys: list[Key]
    is_started: bool = False
    is_done: bool = False
    times: list[int] = field(default_factory=lambda: [0, 0])
    before: list["Launched"] = field(default_factory=list)


@dataclass
class Place:
    """What the members of one collective, or the two sides of one transfer, have begun."""

    needed: frozenset[int]
    launched: dict[int, Launched] = field(default_factory=dict)
    started: dict[int, Launched] = field(default_factory=dict)

    def is_equal(self) -> bool:
        return len({one.call.signature() for one in self.launched.values()}) < 2

    def may_end(self, mine: Launched) -> bool:
        """Whether `mine` is over, as far as the others matter."""
        if not self.is_equal():
            return False
        if len(self.started) == len(self.needed):
            return True
        root = mine.call.comm.ranks[mine.call.root] if mine.call.op in ("broadcast", "reduce") else -1
        if mine.call.op == "broadcast":
            return root in self.started  # the root is done once it has sent
        return mine.call.op == "reduce" and mine.rank != root


@dataclass
class Stops:
    """What goes wrong, and where: a rank's step, or a place."""

    host: dict[int, int] = field(default_factory=dict)  # rank -> step it never launches
    device: dict[int, int] = field(default_factory=dict)  # rank -> step its device never begins
    blind: dict[int, int] = field(default_factory=dict)  # rank -> step whose end its device never tells
    cut: set[tuple[int, int]] = field(default_factory=set)  # (communicator, seq) that nothing gets through


class Machine:
    """`run(limit)` lets the ranks get on; `state` is read off `launched` and `places`."""

    def __init__(self, programs: list[list[Step]], window: int, stops: Stops, choose: random.Random) -> None:
        self.programs, self.window, self.stops, self.choose = programs, window, stops, choose
        size = len(programs)
        self.at = [0] * size
        self.launched: list[list[Launched]] = [[] for _ in range(size)]
        self.num_open = [0] * size
        self.num_records = [0] * size
        self.counts: list[dict[tuple[str, int], int]] = [{} for _ in range(size)]
        self.pair_counts: list[dict[Key, int]] = [{} for _ in range(size)]
        self.last_sync: list[list[Launched]] = [[] for _ in range(size)]
        self.last_async: list[list[Launched]] = [[] for _ in range(size)]
        self.last_on: list[dict[int, Launched]] = [{} for _ in range(size)]
        self.places: dict[Key, Place] = {}
        self.dark: set[int] = set()  # devices that do nothing any more
        self.active = list(range(size))
        self.clock = 0

    def run(self, limit: int | None = None, until: Callable[[], bool] | None = None) -> None:
        """Let ranks get on, one step at a time, until nothing moves or `limit` steps are made."""
        done = 0
        while self.active and (limit is None or done < limit) and not (until and until()):
            index = self.choose.randrange(len(self.active))
            rank = self.active[index]
            if self.can_move(rank):
                self.move(rank)
                done += 1
            else:
                self.active[index] = self.active[-1]
                self.active.pop()

    def can_move(self, rank: int) -> bool:
        step = self.at[rank]
        if step >= len(self.programs[rank]) or self.stops.host.get(rank) == step:
            return False
        if self.programs[rank][step] == HOST_WAIT:
            return self.num_open[rank] == 0
        return self.programs[rank][step] == STREAM_WAIT or self.num_open[rank] < self.window

    def move(self, rank: int) -> None:
        step = self.programs[rank][self.at[rank]]
        self.clock += self.choose.randint(1, 200)
        if step == STREAM_WAIT:
            self.last_sync[rank] += self.last_async[rank]
            self.last_async[rank] = []
        elif isinstance(step, Call):
            self.launch(rank, step)
        self.at[rank] += 1

    def launch(self, rank: int, call: Call) -> None:
        counts, number = self.counts[rank], call.comm.number
        kind, other = ("p2p", "collective") if call.peers else ("collective", "p2p")
        counts[kind, number] = counts.get((kind, number), 0) + 1
        counts["op", number] = counts.get(("op", number), 0) + max(1, len(call.peers))
        on_stream = self.last_on[rank].get(number)
        one = Launched(
            rank=rank,
            call=call,
            seq=counts[kind, number],
            other_seq=counts.get((other, number), 0),
            op_id=counts["op", number],
            record=self.num_records[rank],
            step=self.at[rank],
            time=self.clock,
            after=[*self.last_sync[rank], *([on_stream] if on_stream else [])],
            keys=[],
        )
        one.keys = [self.pair(rank, call, what, peer) for what, peer in call.peers] or [
            ("c", number, one.seq)
        ]
        self.launched[rank].append(one)
        self.num_records[rank] += len(call.peers) + 1 if call.is_coalesced else 1
        self.last_on[rank][number] = one
        if call.is_async:
            self.last_async[rank].append(one)
        else:
            self.last_sync[rank] = [one]
        self.num_open[rank] += 1
        for key in one.keys:
            self.place(key, call).launched[rank] = one
        for earlier in one.after:
            if not earlier.is_done:
                earlier.before.append(one)
        self.start(one)

    def pair(self, rank: int, call: Call, what: str, peer: int) -> Key:
        mine = call.comm.local(rank)
        ends = (mine, peer) if what == "send" else (peer, mine)
        key = ("p", call.comm.number, *ends)
        counts = self.pair_counts[rank]
        counts[key] = counts.get(key, 0) + 1
        return (*key, counts[key])

    def place(self, key: Key, call: Call) -> Place:
        if key not in self.places:
            ranks = call.comm.ranks
            ends = [ranks[i] for i in key[2:4]] if key[0] == "p" else ranks
            self.places[key] = Place(frozenset(ends))
        return self.places[key]

    def start(self, one: Launched) -> None:
        """Let a device begin an operation whose predecessors are done, and end what that allows to end."""
        waiting = [one]
        while waiting:
            mine = waiting.pop()
            if mine.is_started or mine.rank in self.dark or not all(x.is_done for x in mine.after):
                continue
            if self.stops.device.get(mine.rank) == mine.step:
                self.dark.add(mine.rank)
                continue
            mine.is_started, mine.times[0] = True, self.clock
            for key in mine.keys:
                self.places[key].started[mine.rank] = mine
            for key in mine.keys:
                for other in list(self.places[key].started.values()):
                    waiting += self.end(other)

    def end(self, one: Launched) -> list[Launched]:
        """Mark an operation done if it is; what may begin then."""
        if one.is_done or one.rank in self.dark:
            return []
        for key in one.keys:
            if key[1:] in self.stops.cut or not self.places[key].may_end(one):
                return []
        if self.stops.blind.get(one.rank) == one.step:
            self.dark.add(one.rank)
            return []
        one.is_done, one.times[1] = True, self.clock
        self.num_open[one.rank] -= 1
        if one.rank not in self.active:
            self.active.append(one.rank)
        return one.before

"""What each rank of a training job calls, step by step: collectives, transfers, and waits of the host."""

import random
from dataclasses import dataclass, replace

from tests.incidents.layout import Comm, Layout

HOST_WAIT = "host waits"  # the host waits until all it launched is done: .item(), synchronize()
STREAM_WAIT = "stream waits"  # what is launched later runs after all asynchronous operations


@dataclass(frozen=True)
class Call:
    """One launch: a collective, or with `peers` one or several transfers at once."""

    comm: Comm
    op: str
    sizes: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...] = ()
    dtype: str = "BFloat16"
    is_async: bool = False
    root: int = 0  # of a broadcast or a reduce: a rank inside the group
    peers: tuple[tuple[str, int], ...] = ()  # ("send" | "recv", rank inside the group)
    is_coalesced: bool = False
    line: int = 0

    def signature(self) -> tuple[object, ...]:
        """What must be equal among the members for the collective to work."""
        free = self.op in UNEVEN
        return self.op, self.dtype, None if free else self.sizes, self.root

    def altered(self, **changes: object) -> "Call":
        return replace(self, **changes)


UNEVEN = {"all_to_all", "barrier"}
Step = Call | str


@dataclass
class Writer:
    """Builds the programs of all ranks."""

    layout: Layout
    choose: random.Random

    def __post_init__(self) -> None:
        self.programs: list[list[Step]] = [[] for _ in range(self.layout.grid.num_ranks)]

    def call(self, purpose: str, rank: int, op: str, count: int, line: int, **more: object) -> None:
        """One collective on the rank's group of this purpose, if it is in one."""
        comm = self.layout.of.get(purpose, {}).get(rank)
        if comm is None or len(comm.ranks) < 2:
            return
        size = len(comm.ranks)
        sizes: tuple[tuple[int, ...], ...] = ((count, 8),)
        outputs = sizes
        if op == "_all_gather_base":
            outputs = ((count * size, 8),)
        elif op == "_reduce_scatter_base":
            sizes, outputs = ((count * size, 8),), ((count, 8),)
        elif op == "all_to_all":
            place = comm.local(rank)  # what all send is what all receive, but no rank for itself
            sizes, outputs = ((count + 3 * place, 8),), ((count + 3 * (size - 1 - place), 8),)
        self.programs[rank].append(Call(comm, op, sizes, outputs, line=line, **more))

    def transfer(self, rank: int, parts: list[tuple[str, int]], count: int, line: int, how: "Style") -> None:
        """Sends and receives to and from global ranks, in the pipeline's group or in the world's."""
        purpose = "world" if how.transfers_in_world and line == 31 else "pipe"
        comm = self.layout.of[purpose][rank]
        peers = tuple((what, comm.local(peer)) for what, peer in parts)
        if how.is_coalesced:
            self.programs[rank].append(
                Call(comm, "transfer", ((count, 8),), peers=peers, is_coalesced=True, line=line)
            )
            return
        for peer in peers:
            self.programs[rank].append(Call(comm, "transfer", ((count, 8),), peers=(peer,), line=line))

    def ring(self, rank: int, line: int) -> None:
        """One block that sends to the next and receives from the previous rank of the tensor group."""
        comm = self.layout.of.get("tensor", {}).get(rank)
        if comm is not None:
            size, own = len(comm.ranks), comm.local(rank)
            peers = (("send", (own + 1) % size), ("recv", (own - 1) % size))
            block = Call(comm, "transfer", ((64, 8),), peers=peers, is_coalesced=True, line=line)
            self.programs[rank].append(block)


@dataclass(frozen=True)
class Style:
    num_iterations: int
    num_microbatches: int
    num_layers: int
    is_coalesced: bool
    transfers_in_world: bool
    is_overlapped: bool  # data parallel reductions run beside the backward pass
    waits_every: int  # iterations between waits of the host
    tensor_ops: tuple[str, str]
    is_sharded: bool  # reduce-scatter and gather in place of all-reduce
    has_ring: bool  # attention over a ring of the tensor group: blocks of a send and a receive
    is_rooted: bool  # batches are broadcast, losses reduced to one rank


def style(choose: random.Random, num_ranks: int) -> Style:
    return Style(
        num_iterations=choose.randint(2, 5 if num_ranks < 32 else 3),
        num_microbatches=choose.randint(1, 3),
        num_layers=choose.randint(1, 3),
        is_coalesced=choose.random() < 0.5,
        transfers_in_world=choose.random() < 0.4,
        is_overlapped=choose.random() < 0.6,
        waits_every=choose.choice([1, 1, 2, 100]),
        tensor_ops=choose.choice(
            [("all_reduce", "all_reduce"), ("_all_gather_base", "_reduce_scatter_base")]
        ),
        is_sharded=choose.random() < 0.5,
        has_ring=choose.random() < 0.3,
        is_rooted=choose.random() < 0.4,
    )


def write(layout: Layout, how: Style, choose: random.Random) -> list[list[Step]]:
    """The programs of all ranks. All ranks of one stage run the same; stages differ in what they call."""
    made = Writer(layout, choose)
    grid = layout.grid
    barrier_at = choose.randrange(how.num_iterations + 2)
    for rank in range(grid.num_ranks):
        made.call("world", rank, "broadcast", 64, 5)
        for iteration in range(how.num_iterations):
            if how.is_rooted:
                made.call("tensor", rank, "broadcast", 1024, 11)
            for _ in range(how.num_microbatches):
                one_pass(made, rank, how, forward=True)
            for _ in range(how.num_microbatches):
                one_pass(made, rank, how, forward=False)
            finish(made, rank, how)
            if iteration == barrier_at:
                made.call("world", rank, "barrier", 1, 61)
            if iteration % how.waits_every == how.waits_every - 1:
                made.programs[rank].append(HOST_WAIT)
    return made.programs


def one_pass(made: Writer, rank: int, how: Style, forward: bool) -> None:
    """One microbatch through this rank's stage: receive, compute with collectives, send."""
    grid = made.layout.grid
    stage, data, tensor = grid.place(rank)
    step = 1 if forward else -1
    line = 21 if forward else 31
    before, after = stage - step, stage + step
    if grid.pipe > 1 and 0 <= before < grid.pipe:
        made.transfer(rank, [("recv", grid.rank(before, data, tensor))], 32, line, how)
    for layer in range(how.num_layers + (stage == 0)):
        made.call("tensor", rank, how.tensor_ops[0], 128 + 16 * layer, line + 1)
        if layer % 2 == 0:
            made.call("expert", rank, "all_to_all", 40, line + 3)
            made.call("expert", rank, "all_to_all", 48, line + 4)
        if how.has_ring and forward:
            made.ring(rank, line + 5)
        made.call("tensor", rank, how.tensor_ops[1], 256 + 16 * layer, line + 2)
    if not forward and how.is_overlapped:
        made.call(
            "data", rank, "_reduce_scatter_base" if how.is_sharded else "all_reduce", 512, 41, is_async=True
        )
    if grid.pipe > 1 and 0 <= after < grid.pipe:
        made.transfer(rank, [("send", grid.rank(after, data, tensor))], 32, line, how)


def finish(made: Writer, rank: int, how: Style) -> None:
    """The end of one iteration: gradients of all, their norm, the loss."""
    if how.is_overlapped:
        made.programs[rank].append(STREAM_WAIT)
    else:
        made.call("data", rank, "_reduce_scatter_base" if how.is_sharded else "all_reduce", 512, 41)
    made.call("ends", rank, "all_reduce", 72, 43)
    made.call("model", rank, "all_reduce", 1, 45)
    made.call("data_cp", rank, "all_reduce", 2, 46)
    if how.is_sharded:
        made.call("data", rank, "_all_gather_base", 96, 47)
    made.call("world", rank, "all_reduce", 3, 49)
    if how.is_rooted:
        made.call("world", rank, "reduce", 4, 50)
    if made.layout.grid.num_ranks == len(made.layout.of["world"]) and len(made.layout.comms) == 1:
        made.call("world", rank, "_all_gather_base", 11, 51)
        made.call("world", rank, "all_reduce", 700, 52)

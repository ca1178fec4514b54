"""Which ranks form which groups in a training job, and what each process calls them."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Comm:
    """One communicator: what it really is. `ranks` in group order."""

    number: int  # in order of creation over the whole job
    desc: str
    ranks: tuple[int, ...]

    def local(self, rank: int) -> int:
        return self.ranks.index(rank)


@dataclass(frozen=True)
class Grid:
    """Sizes of a job: `data * tensor * pipe` ranks; experts are parts of the data ranks of one stage."""

    data: int = 1
    tensor: int = 1
    pipe: int = 1
    expert: int = 1

    @property
    def num_ranks(self) -> int:
        return self.data * self.tensor * self.pipe

    def rank(self, pipe: int, data: int, tensor: int) -> int:
        return (pipe * self.data + data) * self.tensor + tensor

    def place(self, rank: int) -> tuple[int, int, int]:
        """(pipe, data, tensor)"""
        rest, tensor = divmod(rank, self.tensor)
        return *divmod(rest, self.data), tensor


@dataclass
class Layout:
    """The groups of a job by what they are for; `of[purpose][rank]` is that rank's group."""

    grid: Grid
    comms: list[Comm] = field(default_factory=list)
    of: dict[str, dict[int, Comm]] = field(default_factory=dict)

    def add(self, purpose: str, desc: str, sets: Sequence[Sequence[int]]) -> None:
        for ranks in sets:
            comm = Comm(len(self.comms), desc, tuple(ranks))
            self.comms.append(comm)
            self.of.setdefault(purpose, {}).update(dict.fromkeys(comm.ranks, comm))

    def mine(self, rank: int) -> list[Comm]:
        return [comm for comm in self.comms if rank in comm.ranks]


def lay_out(grid: Grid, choose: random.Random) -> Layout:
    """Every group that such a job makes, in the order in which it makes them."""
    made = Layout(grid)
    data, tensor, pipe = range(grid.data), range(grid.tensor), range(grid.pipe)
    made.add("world", "default_pg", [range(grid.num_ranks)])
    sets: list[tuple[str, str, list[list[int]]]] = []
    if grid.data > 1:
        lines = [[grid.rank(p, d, t) for d in data] for p in pipe for t in tensor]
        sets.append(("data", "DATA_PARALLEL_GROUP", lines))
        if choose.random() < 0.5:  # one rank set, two groups
            sets.append(("data_cp", "DATA_PARALLEL_GROUP_WITH_CP", lines))
    if grid.tensor > 1:
        sets.append(
            (
                "tensor",
                "TENSOR_MODEL_PARALLEL_GROUP",
                [[grid.rank(p, d, t) for t in tensor] for p in pipe for d in data],
            )
        )
    if grid.pipe > 1:
        lines = [[grid.rank(p, d, t) for p in pipe] for d in data for t in tensor]
        sets.append(("pipe", "PIPELINE_MODEL_PARALLEL_GROUP", lines))
        if grid.pipe > 2 or choose.random() < 0.5:
            sets.append(("ends", "EMBEDDING_GROUP", [[line[0], line[-1]] for line in lines]))
    if grid.pipe * grid.tensor > 1 and grid.data > 1:
        blocks = [[grid.rank(p, d, t) for p in pipe for t in tensor] for d in data]
        sets.append(("model", "MODEL_PARALLEL_GROUP", blocks))
    if grid.expert > 1:
        parts = [list(data)[i : i + grid.expert] for i in range(0, grid.data, grid.expert)]
        lines = [[grid.rank(p, d, t) for d in part] for p in pipe for t in tensor for part in parts]
        sets.append(("expert", "EXPERT_MODEL_PARALLEL_GROUP", lines))
    choose.shuffle(sets)
    for purpose, desc, members in sets:
        made.add(purpose, desc if choose.random() < 0.9 else "undefined", members)
    return made


def names(layout: Layout, style: str) -> dict[int, str]:
    """Communicator number -> the group's name: `counter`, `hash` of its ranks, or `split` (reused names)."""
    found: dict[int, str] = {}
    for comm in layout.comms:
        if style == "counter" or comm.number == 0:
            name = str(comm.number)
        elif style == "hash":
            name = digest("_".join(map(str, comm.ranks)))
            while name in found.values():
                name = digest(name + "_")
        else:  # disjoint groups made by one split share a name
            purpose = next(p for p, mine in layout.of.items() if mine.get(comm.ranks[0]) is comm)
            name = f"0:split:{list(layout.of).index(purpose)}"
        found[comm.number] = name
    return found


def digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def ids(layout: Layout, rank: int, choose: random.Random) -> dict[int, int]:
    """Communicator number -> this process's own `pg_id`: it counts its own groups, with gaps."""
    found, last = {}, -1
    for comm in layout.mine(rank):
        last += 1 if last < 0 or choose.random() < 0.85 else 2
        found[comm.number] = last
    return found

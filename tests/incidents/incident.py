"""One random incident: a job, what goes wrong in it, its ranks' dumps, and the right answers."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from diagnose.naming import rank_of
from tests.incidents import faults, program, recorder
from tests.incidents.faults import Expected, Fault
from tests.incidents.layout import Grid, Layout, lay_out
from tests.incidents.machine import Machine, Stops
from tests.incidents.truth import Ranks, is_finished

GRIDS = [
    *[Grid(data=n) for n in (2, 3, 4, 8)],
    *[Grid(tensor=2, data=2), Grid(tensor=4, data=2), Grid(tensor=2, data=4), Grid(pipe=2), Grid(pipe=4)],
    *[Grid(pipe=2, tensor=2), Grid(pipe=2, tensor=2, data=2), Grid(pipe=4, data=2, tensor=2)],
    *[Grid(data=4, tensor=2, expert=2), Grid(data=8, expert=4), Grid(data=4, tensor=2, pipe=2, expert=2)],
    *[Grid(data=4, tensor=4, pipe=2), Grid(data=4, tensor=4, pipe=2, expert=4), Grid(data=8, tensor=8)],
    *[Grid(data=4, tensor=4, pipe=4, expert=2), Grid(data=8, tensor=4, pipe=2, expert=4)],
]
WEIGHTS = [3 if grid.num_ranks <= 16 else 1 for grid in GRIDS]
HEALTHY = ("finished", "moving")
SCANS = ("flight/1790000100/", "flight/1790000104/")
DEVICE = ("device_stuck", "device_lost")  # gloo has none
SEVERAL = ("host_stuck", "dead", "device_lost")


@dataclass(frozen=True)
class Incident:
    seed: int
    kind: str  # of the fault, `several`, or how a healthy job was seen
    layout: Layout
    recording: recorder.Recording
    files: dict[str, bytes]
    faults: list[Fault] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    lost: Ranks = frozenset()  # no dump of theirs, though nothing is wrong with them
    maybe: Ranks = frozenset()  # of those, whom the others may be said to wait for
    machine: Machine | None = field(default=None, repr=False, compare=False)

    @property
    def num_ranks(self) -> int:
        return self.layout.grid.num_ranks

    def accepts(self, blamed: Ranks) -> bool:
        """Whether exactly this is a right answer: one right answer to each fault, and nobody else."""
        blamed = blamed - (self.maybe - self.culprits())
        return any(blamed == frozenset().union(*one) for one in product(*(e.answers for e in self.expected)))

    def culprits(self) -> Ranks:
        """Everybody whom some right answer names."""
        return frozenset().union(*(answer for e in self.expected for answer in e.answers))

    def ids(self) -> set[str]:
        return {name for e in self.expected for name in e.ids} | ({"rank_silent"} if self.maybe else set())

    def write(self, folder: Path) -> None:
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def told(self) -> str:
        """What it is, in one line."""
        g = self.layout.grid
        what = "; ".join(
            f"{e.fault.kind} rank {e.fault.rank}: {' or '.join(sorted(str(sorted(a)) for a in e.answers))}"
            for e in self.expected
        )
        return (
            f"#{self.seed} {self.kind} dp{g.data} tp{g.tensor} pp{g.pipe} ep{g.expert} {self.recording}"
            f" {what} lost {sorted(self.lost)}"
        )


def generate(seed: int, kind: str, form: str | None = None) -> Incident:
    """The incident of this kind and seed: always the same one. `form`: of all its dumps, if given."""
    for attempt in range(400):
        found = attempted(seed, kind, form, random.Random(f"{kind} {seed} {attempt}"))
        if found is not None:
            return found
    raise RuntimeError(f"no incident {seed} of kind {kind}")


def attempted(seed: int, kind: str, form: str | None, choose: random.Random) -> Incident | None:
    [grid] = choose.choices(GRIDS, WEIGHTS)
    layout = lay_out(grid, choose)
    is_gloo = grid.pipe == 1 and kind not in DEVICE and choose.random() < 0.25
    style = program.style(choose, grid.num_ranks)
    programs = program.write(layout, replace(style, has_ring=style.has_ring and not is_gloo), choose)
    window = 1 if is_gloo else choose.choice([1, 2, 3, 8, 40])
    how = recorder.draw(choose, window, "gloo" if is_gloo else "nccl")
    how = replace(how, form=form or how.form)
    if kind in HEALTHY:
        return healthy(seed, kind, layout, Machine(programs, window, Stops(), choose), how, choose)
    kinds = several(choose, is_gloo) if kind == "several" else [kind]
    stops, chosen = Stops(), list[Fault]()
    for each in kinds:
        fault = faults.pick(each, programs, {f.rank for f in chosen}, choose)
        if fault is None:
            return None
        faults.put(fault, programs, stops)
        chosen.append(fault)
    machine = Machine(programs, window, stops, choose)
    machine.run()
    return seen(seed, kind, layout, machine, how, chosen, choose)


def several(choose: random.Random, is_gloo: bool) -> list[str]:
    """Two to four faults; one of them may be a mismatch."""
    found = choose.choices(
        [kind for kind in SEVERAL if not (is_gloo and kind in DEVICE)], k=choose.randint(2, 4)
    )
    return [*found[1:], choose.choice([found[0], "mismatch_dtype"])]


def healthy(
    seed: int, kind: str, layout: Layout, machine: Machine, how: recorder.Recording, choose: random.Random
) -> Incident | None:
    """A job that has ended, with dumps that may be lost, or one that got on between two looks at it."""
    everybody = range(layout.grid.num_ranks)
    if kind == "finished":
        machine.run()
        assert is_finished(machine), "a healthy job does not end: the generator is wrong"
        lost = choose.sample(everybody, choose.choice([0, 0, 1, 2]) if len(everybody) > 2 else 0)
        files = dumps(machine, layout, how, choose, set(everybody) - set(lost))
        return Incident(seed, kind, layout, how, files, lost=frozenset(lost))
    total = sum(map(len, machine.programs))
    machine.run(limit=total // choose.randint(4, 8))
    lag = choose.choice([0, 0, 2, 8])
    files = scan(machine, layout, how, choose, everybody, SCANS[0], lag)
    before = [num_done(machine, rank) for rank in everybody]
    machine.run(limit=total // 2)
    if any(num_done(machine, rank) < before[rank] + 4 for rank in everybody):
        return None
    files |= scan(machine, layout, how, choose, everybody, SCANS[1], lag)
    rank, number = choose.choice(everybody), choose.choice([0, 0, 1, 2])
    spoilt = choose.sample([n for n in files if n.startswith("flight/") and rank_of(n, True) == rank], number)
    for name in spoilt:  # one rank's dump is torn, or was lost, in one of the looks or in both
        files[name] = files[name][: len(files[name]) // 2]
    if choose.random() < 0.5:
        files = {name: content for name, content in files.items() if name not in spoilt}
    return Incident(seed, kind, layout, how, files)


def num_done(machine: Machine, rank: int) -> int:
    return sum(one.is_done for one in machine.launched[rank])


def seen(
    seed: int,
    kind: str,
    layout: Layout,
    machine: Machine,
    how: recorder.Recording,
    chosen: list[Fault],
    choose: random.Random,
) -> Incident | None:
    """What the dumps of a job that stands still show, and whom they accuse."""
    dead = {f.rank for f in chosen if f.kind == "dead"}
    left = set(range(layout.grid.num_ranks)) - dead
    expected = answers(machine, chosen, left, how)
    accused = dead.union(*(a for e in expected for a in e.answers))
    accused |= {r for f in chosen for place in faults.odd_places(machine, f.rank) for r in place.needed}
    spare = sorted(left - accused)
    lost = set(choose.sample(spare, min(max(0, len(spare) - 1), choose.choice([0, 0, 1, 2]))))
    left -= lost
    expected = answers(machine, chosen, left, how)
    if all(e.may_hide for e in expected):
        return None
    waited_in = {
        key for rank in left for one in machine.launched[rank] if not one.is_done for key in one.keys
    }
    maybe = frozenset(r for key in waited_in for r in machine.places[key].needed & (lost | dead))
    if not dead:  # who left no dump is not blamed for what somebody accounts for who did
        maybe = frozenset()
    files = dumps(machine, layout, how, choose, left)
    return Incident(seed, kind, layout, how, files, chosen, expected, frozenset(lost), maybe, machine)


def answers(machine: Machine, chosen: list[Fault], left: set[int], how: recorder.Recording) -> list[Expected]:
    found = (faults.expected(fault, machine, left, how.has_starts) for fault in chosen)
    return [one for one in found if one is not None]


def dumps(
    machine: Machine, layout: Layout, how: recorder.Recording, choose: random.Random, ranks: Iterable[int]
) -> dict[str, bytes]:
    """File name -> content: a plain folder, or two looks at what does not move."""
    if how.num_scans == 1:
        return scan(machine, layout, how, choose, ranks, "")
    first = scan(machine, layout, how, choose, ranks, SCANS[0])
    return first | {name.replace(SCANS[0], SCANS[1]): content for name, content in first.items()}


def scan(
    machine: Machine,
    layout: Layout,
    how: recorder.Recording,
    choose: random.Random,
    ranks: Iterable[int],
    folder: str,
    lag: int = 0,
) -> dict[str, bytes]:
    """Every rank's dump. Between two of them the job gets on by `lag` steps at most."""
    choose = random.Random(choose.random())  # what is drawn below changes nothing of the job
    style = choose.choice(["nccl_trace_rank_{}", "comm_lib_trace_rank_{}", "_dump_{}", "rank-{:05d}"])
    files = {}
    for rank in sorted(ranks):
        machine.run(limit=choose.randint(0, lag))
        own = random.Random(f"{layout.grid} {rank}")  # a process names its groups the same every time
        is_json = how.form == "json" or (how.form == "both" and choose.random() < 0.5)
        content = recorder.as_bytes(recorder.record(machine, layout, how, rank, own), is_json)
        suffix = (".json" if is_json else ".pickle") if style.startswith("rank") else ""
        files[f"{folder}{style.format(rank)}{suffix}"] = content
        if how.library == "gloo":
            files[f"events/rank-{rank:05d}-000001.jsonl"] = recorder.events(layout, how, rank)
    return files

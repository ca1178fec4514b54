"""Processes in, jobs out: who is a rank, and whose ranks belong together. Pure.

Three kinds of ranks are known: those a launcher gave RANK in their environment; those that a Python parent
started (`mp.spawn`, `multiprocessing`), which carry none; and a lone process that has loaded torch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from probes.finding.processes import Process, ancestors, title

_KEY = ("RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
_PLACE = ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE")
_HERE = {"localhost", "127.0.0.1", "::1", "ip6-localhost"}


class Told(NamedTuple):
    """What a process's own frames say: is it a spawned rank, a worker, or neither; and its number."""

    is_rank: bool
    is_worker: bool
    number: int | None


class Found(NamedTuple):
    """One rank. `how`: environment, spawn (its frames tell), order (of start: assumed), lone."""

    rank: int
    process: Process
    how: str


class Job(NamedTuple):
    """Ranks that belong together. `expected` are those that should run on this host."""

    name: str
    launcher: int  # pid of the parent of all ranks
    ranks: list[Found]
    world_size: int
    expected: list[int]

    @property
    def pids(self) -> list[int]:
        """The ranks' processes."""
        return [one.process.pid for one in self.ranks]

    @property
    def missing(self) -> list[int]:
        """Ranks that should run here and have no process."""
        return sorted(set(self.expected) - {one.rank for one in self.ranks})


def jobs(known: Mapping[int, Process], told: Mapping[int, Told]) -> list[Job]:
    """Every job of the host; lone processes that have loaded torch come last, a job each."""
    inside = {pid: one for pid, one in known.items() if one.is_seen and not one.is_launcher}
    named, twins = _named(inside, known)
    ours = {one.process.pid for one in named}
    above = {up for pid in ours for up in ancestors(pid, known)}
    rest = {
        pid: one
        for pid, one in inside.items()
        if one.has_torch and pid not in ours | above and not ours & set(ancestors(pid, known))
    }
    families = _families(rest, known, told, twins)
    spawned = {one.process.pid for family in families for one in family.ranks}
    parents = {up for pid in spawned for up in ancestors(pid, known)}
    lone = [
        _job([Found(0, one, "lone")], known)
        for pid, one in sorted(rest.items())
        if pid not in spawned | parents and not (spawned | rest.keys()) & set(ancestors(pid, known))
    ]
    return [*_by_place(named, known), *families, *lone]


def _named(inside: Mapping[int, Process], known: Mapping[int, Process]) -> tuple[list[Found], set[int]]:
    """Ranks by their environment, and processes that share one (spawned inside a rank's environment).

    A worker inherits RANK: the process with a process group counts, else the outermost that has loaded
    torch, else the outermost Python.
    """
    groups: dict[tuple[str, ...], list[Process]] = defaultdict(list)
    for one in inside.values():
        if one.rank is not None and (one.is_python or one.has_torch):
            groups[tuple(one.environ.get(name, "") for name in (*_KEY, *_PLACE))].append(one)
    found: list[Found] = []
    twins: set[int] = set()
    for group in groups.values():
        best = max((one.has_group, one.has_torch) for one in group)
        equal = {one.pid: one for one in group if (one.has_group, one.has_torch) == best}
        outer = [one for one in equal.values() if not equal.keys() & set(ancestors(one.pid, known))]
        if len(outer) > 1 and len({one.ppid for one in outer}) == 1:
            twins |= {one.pid for one in outer}
        else:
            found += [Found(one.rank or 0, one, "environment") for one in outer]
    return found, twins


def _by_place(named: Iterable[Found], known: Mapping[int, Process]) -> list[Job]:
    """Ranks that name one meeting place are one job, unless two of them claim one rank."""
    places: dict[tuple[str, ...], list[Found]] = defaultdict(list)
    for one in named:
        places[tuple(one.process.environ.get(name, "") for name in _PLACE)].append(one)
    found: list[Job] = []
    for place, group in places.items():
        is_one = len({one.rank for one in group}) == len(group) and any(place[1:3])
        parts: dict[int, list[Found]] = defaultdict(list)
        for one in group:
            parts[0 if is_one else one.process.ppid].append(one)
        found += [_job(_living(part), known) for part in parts.values()]
    return found


def _living(ranks: list[Found]) -> list[Found]:
    """Without workers that outlived their rank: orphans without a process group where others have one."""
    parents = {one.process.ppid for one in ranks if one.process.has_group}
    return [one for one in ranks if one.process.has_group or not parents or one.process.ppid in parents]


def _families(
    rest: Mapping[int, Process], known: Mapping[int, Process], told: Mapping[int, Told], twins: set[int]
) -> list[Job]:
    """Children of one parent that are ranks without saying so."""
    groups: dict[int, list[Process]] = defaultdict(list)
    for one in rest.values():
        parent = known.get(one.ppid)
        says = told.get(one.pid, Told(False, False, None))
        if parent is None or parent.has_group or says.is_worker:
            continue
        if one.has_group or says.is_rank or one.pid in twins:
            groups[one.ppid].append(one)
    found: list[Job] = []
    for group in groups.values():
        if len(group) == 1 and not told.get(group[0].pid, Told(False, False, None)).is_rank:
            continue
        ordered = sorted(group, key=lambda one: (one.start_ticks, one.pid))
        numbers = [told.get(one.pid, Told(False, False, None)).number for one in ordered]
        is_told = None not in numbers and len(set(numbers)) == len(numbers)
        found.append(
            _job(
                [
                    Found(
                        number if is_told and number is not None else at, one, "spawn" if is_told else "order"
                    )
                    for at, (one, number) in enumerate(zip(ordered, numbers, strict=True))
                ],
                known,
            )
        )
    return found


def _job(ranks: list[Found], known: Mapping[int, Process]) -> Job:
    ranks = sorted(ranks, key=lambda one: one.rank)
    first = ranks[0].process
    above = [set(ancestors(one.process.pid, known)) for one in ranks]
    shared = [pid for pid in ancestors(first.pid, known) if all(pid in ups for ups in above)]
    size = max((one.process.number("WORLD_SIZE") or 0 for one in ranks), default=0)
    if ranks[0].how != "environment":  # an outer launcher's WORLD_SIZE says nothing of those spawned below
        size = len(ranks) if ranks[0].how == "lone" or size < len(ranks) else size
    top = known.get(shared[0]) if shared and len(ranks) > 1 else None
    words = first.argv if ranks[0].how in ("environment", "lone") or top is None else top.argv
    return Job(title(words), shared[0] if shared else 0, ranks, max(size, len(ranks)), _expected(ranks, size))


def _expected(ranks: list[Found], size: int) -> list[int]:
    """Ranks that should run on this host, as far as their environment tells."""
    here = {one.rank for one in ranks}
    for one in ranks:
        local, num = one.process.number("LOCAL_RANK"), one.process.number("LOCAL_WORLD_SIZE")
        if one.how == "environment" and local is not None and num and local < num <= 4096:
            here |= set(range(one.rank - local, one.rank - local + num))
        elif one.process.environ.get("MASTER_ADDR") in _HERE:
            here |= set(range(min(size, 4096)))
    return sorted(here)

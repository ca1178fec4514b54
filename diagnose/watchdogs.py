"""What each rank's watchdog says of the collective that it gave up, and how far its rank had come. Pure.

`[Rank m]` is the rank in the group: only in the group of all ranks it is the rank itself.
"""

from collections.abc import Iterable
from typing import NamedTuple

from diagnose.model import Event, Evidence, line_of

EQUAL = {"ALLREDUCE", "BROADCAST", "REDUCE"}  # as many elements on every rank
EQUAL |= {"ALLGATHER", "_ALLGATHER_BASE", "REDUCE_SCATTER", "_REDUCE_SCATTER_BASE"}
WORLD = {"0", "default_pg"}  # names of the group of all ranks
Call = tuple[str, str, str]  # operation, elements, nothing


class Report(NamedTuple):
    """One rank's word on one collective of a group; the group's name is empty where no line tells it."""

    rank: int
    group: str
    seq: int
    call: Call
    event: Event


class Reach(NamedTuple):
    """How far a rank came in a group, in numbers of its collectives; -1: none completed."""

    rank: int
    enqueued: int
    completed: int
    event: Event


def calls(evidence: Evidence) -> tuple[int, dict[int, Call], list[Event]]:
    """The first place of a group where calls differ: its number, rank -> call, and who says so."""
    for (_, seq), told in sorted(places(evidence).items(), key=lambda item: item[0][1]):
        if len({report.call for report in told.values()}) > 1:
            return seq, {r.rank: r.call for r in told.values()}, [r.event for r in told.values()]
    return 0, {}, []


def places(evidence: Evidence) -> dict[tuple[str, int], dict[int, Report]]:
    """(group, number) -> rank -> its report; without groups of one name that are several."""
    seen: dict[tuple[str, int], dict[int, Report]] = {}
    twice: set[tuple[str, int]] = set()
    for report in reports(evidence):
        key = report.group, report.seq
        mine = report.event.data.get("group_rank")
        others = seen.setdefault(key, {})
        if any(o.event.data.get("group_rank") == mine and o.rank != report.rank for o in others.values()):
            twice.add(key)
        others.setdefault(report.rank, report)
    return {key: told for key, told in seen.items() if key not in twice}


def parted(evidence: Evidence) -> tuple[str, dict[int, Report]]:
    """The first group whose ranks gave up at different numbers: its name, rank -> report."""
    by_group: dict[str, dict[int, Report]] = {}
    for (group, _), told in sorted(places(evidence).items(), key=lambda item: item[0][1]):
        for report in told.values():
            by_group.setdefault(group, {}).setdefault(report.rank, report)
    found = ((g, told) for g, told in by_group.items() if len({r.seq for r in told.values()}) > 1)
    return next(found, ("", {}))


def reports(evidence: Evidence) -> Iterable[Report]:
    """Who gave up what, where it is known of whom and in which group the line speaks."""
    told = list(evidence.of("nccl.watchdog_timed_out"))
    names = group_names(evidence)
    is_plain = all_in_one(told)
    world = next((name for name in names.values() if name in WORLD), "") if is_plain else ""
    for event in told:
        seq, op = event.data.get("seq"), str(event.data.get("op"))
        group = str(event.data.get("group") or names.get((*writer(event), seq), world))
        rank = rank_of(event, group, is_plain)
        if rank is None or not isinstance(seq, int) or op == "COALESCED" or not (group or is_plain):
            continue
        size = str(event.data.get("numel_in")) if op in EQUAL else ""
        yield Report(rank, group, seq, (op, size, ""), event)


def first_given_up(evidence: Evidence) -> dict[int, Report]:
    """Every rank's report that it gave up the first collective of all, where nothing ever got through.

    Empty where calls differ, where one rank has no report, or one completed any: then it is not all of them.
    """
    told: dict[int, Report] = {}
    for (group, seq), mine in places(evidence).items():
        if seq <= 1 and (not group or group in WORLD):
            told |= mine
    done = (
        reach.completed
        for group, mine in reaches(evidence).items()
        if group in WORLD
        for reach in mine.values()
    )
    size = next((n for report in told.values() if (n := members(report))), None) or evidence.num_ranks or 0
    is_all = size >= 2 and told.keys() == set(range(size))
    return told if is_all and len({r.call for r in told.values()}) == 1 and max(done, default=0) < 1 else {}


def members(report: Report) -> int | None:
    """How many ranks a gathering is of, by its sizes."""
    mine, whole = report.event.data.get("numel_in"), report.event.data.get("numel_out")
    if "ALLGATHER" not in report.call[0] or not isinstance(mine, int) or not isinstance(whole, int):
        return None
    return whole // mine if mine and whole % mine == 0 else None


def reaches(evidence: Evidence) -> dict[str, dict[int, Reach]]:
    """group -> rank -> how far it came, by its last word."""
    found: dict[str, dict[int, Reach]] = {}
    told = list(evidence.of("nccl.frontier_told"))
    for event in told:
        group = str(event.data.get("group") or "")
        rank = rank_of(event, group, False)
        enqueued, completed = event.data.get("enqueued"), event.data.get("completed")
        if group and rank is not None and isinstance(enqueued, int) and isinstance(completed, int):
            found.setdefault(group, {})[rank] = Reach(rank, enqueued, completed, event)
    return found


def writer(event: Event) -> tuple[str, int | None, object]:
    """Who wrote a line, as far as it shows: its file, its rank, its rank in the group."""
    return line_of(event)[0], event.rank, event.data.get("group_rank")


def group_names(evidence: Evidence) -> dict[tuple[str, int | None, object, object], str]:
    """The core line names no group; the line of frontiers beside it does."""
    told = evidence.of("nccl.frontier_told")
    return {(*writer(e), e.data.get("seq")): str(e.data["group"]) for e in told if e.data.get("group")}


def all_in_one(told: Iterable[Event]) -> bool:
    """Whether lines without a group all fit the group of all ranks."""
    return all("group" in e.data or e.rank is None or e.rank == e.data.get("group_rank") for e in told)


def rank_of(event: Event, group: str, is_plain: bool) -> int | None:
    mine = event.data.get("group_rank")
    if event.rank is not None:
        return event.rank
    return mine if isinstance(mine, int) and (group in WORLD or (not group and is_plain)) else None

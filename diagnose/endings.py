"""How each rank ended, by its best witness: agent, launcher's log, the command's own status. Pure."""

import math
import re

import msgspec

from diagnose.model import Event, Evidence, Record, integer, line_of

FEWEST_ON_A_NODE, MOST_ON_A_NODE = 4, 8  # ranks, one a GPU
SHELL_SIGNALS = {4, 6, 7, 8, 9, 11, 15}
ABORTS = {4, 6, 7, 8, 11}
WORKER = re.compile(r"DataLoader worker \(pid (\d{1,10})\) is killed by signal: Killed")


class End(Record, frozen=True):
    """One rank's end. `code` is an exit code, `sig` a signal's number; both None: unknown."""

    rank: int
    time: float | None
    code: int | None
    sig: int | None
    event: Event
    by_us: bool = False
    pid: int | None = None


def ended(evidence: Evidence) -> dict[int, End]:
    """rank -> its end: the agent's word first, then the launcher's table, then the launcher's lines."""
    found: dict[int, End] = {}
    claims = list(evidence.of("rank.claimed", "rank.found"))
    places = {n: e.rank for e in claims if (n := integer(e.data.get("local_rank"))) is not None}
    pids = {n: e.rank for e in claims if (n := integer(e.data.get("pid"))) is not None}
    for event in [
        *evidence.of("spawn.child_failed"),
        *evidence.of("launcher.rank_failed"),
        *first_failed(evidence),
        *evidence.of("launcher.failure_listed"),
        *evidence.of("rank.died"),
    ]:
        rank, pid = event.rank, integer(event.data.get("pid"))
        if rank is None:
            place = integer(event.data.get("local_rank"))
            known = [pids.get(-1 if pid is None else pid), places.get(-1 if place is None else place)]
            rank = next((k for k in known if k is not None), integer(event.data.get("process")))
            rank = placed(place, evidence) if rank is None else rank
        if rank is None:
            continue
        code, sig = status(event)
        if code is None and sig is None and rank in found:
            code, sig = found[rank].code, found[rank].sig
        time = event.time if event.time is not None or rank not in found else found[rank].time
        us = bool(event.data.get("after_signal_by_us")) or (
            sig is not None and stopped_at(evidence) <= (time or 0.0)
        )
        pid = pid if pid is not None or rank not in found else found[rank].pid
        found[rank] = End(rank=rank, time=time, code=code, sig=sig, event=event, by_us=us, pid=pid)
    found.update(whole(evidence, found))
    return found


def first_failed(evidence: Evidence) -> list[Event]:
    """Whom MPI's launchers and sglang name as the first to fail, with the status that stands beside."""
    told = list(evidence.of("launcher.exit_told"))
    return [
        msgspec.structs.replace(event, data=event.data | beside[0].data)
        for event in evidence.of("launcher.process_named")
        if (beside := [other for other in told if is_beside(event, other)])
    ]


def is_beside(one: Event, other: Event) -> bool:
    """Whether two lines of a file follow each other."""
    (file, line), (other_file, other_line) = line_of(one), line_of(other)
    return file == other_file and abs(other_line - line) == 1


def placed(place: int | None, evidence: Evidence) -> int | None:
    """The rank at a place of a node: the same number, unless the ranks that speak are those of a later node.

    Their log shows none of the first node's: one that raised and stands so many nodes further is meant.
    """
    if place is None or place in evidence.ranks or not evidence.ranks:
        return place
    raised = {e.rank for e in evidence.of("exception.raised") if e.rank is not None and e.rank > place}
    further = [rank for rank in raised if (rank - place) % FEWEST_ON_A_NODE == 0]
    if len(further) == 1:
        return further[0]
    return place if max(evidence.ranks) < MOST_ON_A_NODE else None


def alone(evidence: Evidence) -> int | None:
    """The one rank that failed by itself, where all others were ended or are not known to have failed."""
    failed = {end.rank for end in ended(evidence).values() if end.code or end.sig in ABORTS}
    return failed.pop() if len(failed) == 1 else None


def stopped_at(evidence: Evidence) -> float:
    """When the run itself began to end its command, or what that left behind; infinity where it did not."""
    swept = evidence.of("command.ended") if any(evidence.of("strays.ended")) else ()
    times = (e.time for e in [*evidence.of("command.stopped"), *swept])
    return min((time for time in times if time is not None), default=math.inf)


def whole(evidence: Evidence, found: dict[int, End]) -> dict[int, End]:
    """The command itself where it is the one rank."""
    if len(evidence.ranks) != 1 or evidence.num_ranks not in (None, 1):
        return {}
    rank = evidence.ranks[0]
    known = found.get(rank)
    for event in evidence.of("command.ended"):
        if known is None or (known.code is None and known.sig is None):
            code, sig = status(event)
            pid = known.pid if known else None
            return {rank: End(rank=rank, time=event.time, code=code, sig=sig, event=event, pid=pid)}
    return {}


def status(event: Event) -> tuple[int | None, int | None]:
    """Exit code and signal; launchers write a signal as a negative code, shells as 128 more."""
    code, sig = integer(event.data.get("exit_code")), integer(event.data.get("signal"))
    if code is not None and event.source == "launcher_log" and code - 128 in SHELL_SIGNALS:
        code = 128 - code
    return (None, -code) if code is not None and code < 0 else (code, sig)


def workers_killed(evidence: Evidence) -> list[End]:
    """Loader workers that SIGKILL ended, as their ranks' exceptions tell: the rank, and the worker's pid."""
    told = [
        (event, found)
        for event in evidence.of("exception.raised")
        if event.rank is not None and (found := WORKER.search(str(event.data.get("message", ""))))
    ]
    ends = (End(e.rank or 0, e.time, None, 9, e, pid=int(found[1])) for e, found in told)
    return list({(end.rank, end.pid): end for end in ends}.values())

"""Compiles as the evidence has them: phases that the hook saw, stacks, compilers at work. Pure."""

from diagnose.activity import of_rank
from diagnose.looks import Look
from diagnose.model import Event, Evidence, Record
from diagnose.scans import IDLE_CPU_S, spent

PAUSE_S = 5.0  # between graphs that are compiled one after the other: the forward pass runs on meanwhile
NEAR_S = 15.0  # samples of a quiet rank are 10 s apart
COMPILE_PHASES = {"compile", "backward_compile", "cudagraph"}


class Span(Record, frozen=True):
    """One compile phase of one rank; `end` is None while it lasts."""

    rank: int
    start: float
    end: float | None
    event: Event


def spans(evidence: Evidence) -> list[Span]:
    open_: dict[tuple[int, str], Event] = {}
    found = []
    for event in evidence.of("phase.started", "phase.ended"):
        phase = str(event.data.get("phase"))
        if phase not in COMPILE_PHASES or event.rank is None or event.time is None:
            continue
        key = (event.rank, phase)
        if event.kind == "phase.started":
            open_[key] = event
        elif (start := open_.pop(key, None)) and start.time is not None:
            found.append(Span(event.rank, start.time, event.time, start))
    found += [Span(rank, e.time, None, e) for (rank, _), e in open_.items() if e.time is not None]
    return found


def compilers(look: Look, evidence: Evidence, phases: list[Span], waiting: set[int]) -> dict[int, Event]:
    """rank -> what shows that it compiles at this look: an open phase, else its stack."""
    found: dict[int, Event] = {}
    for rank in evidence.ranks:
        if rank in waiting:
            continue
        span = next((s for s in phases if s.rank == rank and covers(s, look.time)), None)
        activity = of_rank(look, rank, False)
        if activity and activity.is_ == "compile":
            found[rank] = activity.event
        elif span:
            found[rank] = span.event
    return found


def covers(span: Span, time: float | None) -> bool:
    return time is not None and span.start <= time and (span.end is None or span.end >= time)


def burst(phases: list[Span], late: list[int], now: float | None) -> list[Span]:
    """The compiles of a rank that led up to `now`, one soon after the other: not those of an earlier step."""
    found: list[Span] = []
    mine = (s for s in phases if s.rank in late and (now is None or s.start <= now))
    for span in sorted(mine, key=lambda s: s.start, reverse=True):
        if found and span.end is not None and span.end < min(s.start for s in found) - PAUSE_S:
            break
        found.append(span)
    return found[::-1]


def moves(rank: int, look: Look, evidence: Evidence) -> bool:
    """Whether a compile was seen at work about the time of a look: its stack, its compilers, its cache."""
    activity = of_rank(look, rank, False)
    near = [
        e
        for e in evidence.of("rank.sampled")
        if e.rank == rank
        and e.time is not None
        and look.time is not None
        and abs(e.time - look.time) < NEAR_S
    ]
    used = [spent(near, key) or 0 for key in ("cpu_s", "children_cpu_s", "cache_files")]
    return bool(activity and activity.moving) or max(used) > IDLE_CPU_S

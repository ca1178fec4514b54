"""A platform's limit of time against when ranks fell silent, and who would have told of it later."""

from diagnose.asked import is_over, stalls
from diagnose.limits import limits
from diagnose.model import Event, Evidence, earliest, number

AT_WORK_S, PART = 30.0, 0.25  # silence that is none: so long, and no more than this part of the limit


def is_silent(evidence: Evidence, until: float | None) -> bool:
    """Whether a stall had been called by then, and the job had not gone on."""
    called = [e for e in stalls(evidence) if until is None or e.time is None or e.time <= until]
    return bool(called) and not is_over(called[-1], evidence)


def limit_s(event: Event, evidence: Evidence) -> float | None:
    """The limit, by the platform's own words, else as the container was given it."""
    given = (e.data.get("timeout_s") for e in evidence.of("container.started"))
    return number(event.data.get("limit_s")) or next(filter(None, map(number, given)), None)


def silent_since(evidence: Evidence) -> tuple[float, float] | None:
    """When the rank that moved last did, and when ranks were last looked at; None where nobody looked."""
    last = {e.rank: e for e in evidence.of("rank.sampled") if e.time is not None}
    told = [(e.time or 0.0, number(e.data.get("silent_s"))) for e in last.values()]
    moved = [time - silent for time, silent in told if silent is not None]
    return (max(moved), max(time for time, _ in told)) if moved else None


def arithmetic(event: Event, evidence: Evidence) -> str:
    """What to set the limit to, in words; empty where too little is known."""
    limit, silent = limit_s(event, evidence), silent_since(evidence)
    begun = earliest(evidence.of("container.started", "command.started"))
    if limit is None or silent is None or begun is None:
        return ""
    moved, seen = silent[0] - begun, silent[1] - silent[0]
    if seen < min(AT_WORK_S, PART * limit) and not is_silent(evidence, event.time):
        return (
            f"its limit was {limit:.0f} s, and its last progress {seen:.0f} s old: it may only need more time"
        )
    told = [number(e.data.get("timeout_s")) for e in evidence.of("group.created")]
    waits = {
        "a collective fails": min((one for one in told if one), default=None),
        "a stall is called": stall_after_s(evidence),
    }
    later = {what: s for what, s in waits.items() if s is not None and moved + s > limit}
    if not later:
        return ""
    words = " and ".join(f"{what} after {s:.0f} s" for what, s in later.items())
    return (
        f"its limit of {limit:.0f} s ended it before it could tell why it hung: silent since {moved:.0f} s, "
        f"and {words}; {moved + min(later.values()) + limits().flush_s:.0f} s are the least that it needs"
    )


def stall_after_s(evidence: Evidence) -> float | None:
    """How long silence lasts before the agent calls it a stall, as far as the job had come."""
    key = "stall_after_s" if any(evidence.of("step.first_completed")) else "stall_after_first_s"
    return next((number(e.data.get(key)) for e in evidence.of("agent.started")), None)

"""Reports of collectives that failed, and what a look can still show after the first of them. Pure."""

from diagnose.looks import Look
from diagnose.messages import group_rank
from diagnose.model import Event, Evidence

AFTER = ("raised", "died", "ended", "crashed", "left")  # gloo calls retired what failed: its rank looks ahead
TIMEOUTS = {"gloo.timed_out", "nccl.watchdog_timed_out", "gloo.barrier_failed"}
LOSSES = {"gloo.connection_closed", "gloo.connection_reset"}
TIMED_OUT = ("imed out waiting", "collective operation timeout", "failed to pass monitoredBarrier")
LOST = (
    "onnection closed by peer",
    "onnection reset by peer",
    "reached monitoredBarrier",
    "Horovod has been shut down",
)
SLACK_S = 1.0  # dumps are named by whole seconds; an exception is told a little after the collective failed


def is_after(look: Look, evidence: Evidence) -> bool:
    """Whether a look shows what is left after a failure, as far as is known."""
    return look.cause in AFTER or (look.cause == "foreign" and any(map(is_loss, evidence.events)))


def retires(evidence: Evidence) -> bool:
    """Whether the recorder calls a failed collective done: gloo's does."""
    return all(e.data.get("library") in ("gloo", "") for e in evidence.of("flight.read"))


def ended_well(evidence: Evidence) -> bool:
    """Whether the command did, on each node that told of it, whatever ranks said on the way."""
    ends = list(evidence.of("command.ended"))
    return bool(ends) and all(e.data.get("exit_code") == 0 for e in ends)


def later(event: Event, look: Look) -> bool:
    return event.time is not None and look.time is not None and event.time > look.time + SLACK_S


def speaker(event: Event) -> int | None:
    """The rank that says so: whose log it is in, or as which torch says that it writes."""
    told = event.data.get("group_rank", group_rank(str(event.data.get("message", ""))).get("group_rank"))
    return event.rank if event.rank is not None or not isinstance(told, int) else told


def is_loss(event: Event) -> bool:
    """Whether a rank says that a collective of its failed: it had joined it."""
    return is_timeout(event) or event.kind in LOSSES or says(event, LOST)


def is_timeout(event: Event) -> bool:
    """Whether a rank says that its collective timed out."""
    return event.kind in TIMEOUTS or says(event, TIMED_OUT)


def says(event: Event, parts: tuple[str, ...]) -> bool:
    return event.kind == "exception.raised" and any(p in str(event.data.get("message")) for p in parts)

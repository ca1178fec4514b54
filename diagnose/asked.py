"""Signals that asked the job to end: to the run, to its launcher, or to all ranks at once. Pure."""

import math
import signal

import msgspec

from diagnose.endings import End, status
from diagnose.leaving import closings
from diagnose.looks import looks
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, is_below
from diagnose.raisings import kinds, nameless, parted
from diagnose.resuming import resumed

ENDINGS = {1, 2, 3, 15}
FAILURES = (  # what ends a job by itself, where its launcher is asked to stop only then
    *("launcher.task_failed", "launcher.rank_failed", "device.busy", "cuda.out_of_memory"),
    *("cuda.access_refused", "cuda.assert_failed", "version.refused"),
)
AS_ONE_S = 0.25  # ranks that a signal to all of them ends are gone within this of each other


def asked(ends: list[End], evidence: Evidence) -> list[Event]:
    """What shows that somebody asked the job to end; not what the run itself sent its own command."""
    received = list(evidence.of("signal.received"))
    own = any(evidence.of("command.stopped")) or any(e.source == "run" for e in evidence.of("signal.sent"))
    if not own:
        by_hand = "agent" not in evidence.read  # a Ctrl-C in a console: somebody had given up, who knows why
        told = evidence.of("launcher.interrupted")
        received += [e for e in told if not (by_hand and e.data.get("signal") == signal.SIGINT)]
        received += [e for e in evidence.of("command.ended") if status(e)[1] in ENDINGS]
    return received or as_one(ends, evidence)


def heeded(end: End) -> End:
    """An exit with 128 + a signal that asks to end is that signal's: its handler saved and left."""
    number = (end.code or 0) - 128
    return msgspec.structs.replace(end, code=None, sig=number) if number in ENDINGS else end


def as_one(ends: list[End], evidence: Evidence) -> list[Event]:
    """The ends of all ranks by one asking signal, at one moment: it was meant for the job, not for a rank."""
    times = [end.time for end in ends if end.time is not None]
    if len(ends) < 2 or len(times) < len(ends) or {end.rank for end in ends} < set(evidence.ranks):
        return []
    sent, closed = {end.sig or 0 for end in ends}, closings(evidence)
    by_others = any(end.by_us or end.rank in closed for end in ends) or any(evidence.of("spawn.child_failed"))
    together = len(sent) == 1 and sent <= ENDINGS and max(times) - min(times) <= AS_ONE_S
    if by_others or not together or ended_well(evidence) or failed_before(ends[0].event, ends, evidence):
        return []
    return [end.event for end in ends]


def failed_before(signal: Event, ends: list[End], evidence: Evidence) -> bool:
    """Whether a rank had failed by itself well before the job was asked to end.

    Where a log's line has no time, an exception of a rank's own counts: a scheduler ends what has failed.
    """
    chains = [chain for mine in parted(evidence)[0].values() for chain in mine] + nameless(evidence)
    raised = [event for chain in chains for kind, event in kinds(chain) if kind == "exception.raised"]
    if any(is_below(signal, e) for e in evidence.of(*FAILURES)):
        return True
    if signal.time is None:
        return bool(raised)
    failed = [end.time for end in ends if end.code or (end.sig and end.sig not in ENDINGS)]
    failed += [event.time for event in raised]
    return any(time is not None and time < signal.time - AS_ONE_S for time in failed)


def stalls(evidence: Evidence) -> list[Event]:
    """The stalls that were called, but for those of ranks on their way out: a busy machine takes its time."""
    leaving = {e.rank: e.time for e in evidence.of("rank.exiting") if e.time is not None}

    def had_left(stall: Event) -> bool:
        told = stall.data.get("ranks")
        silent = [rank for rank in told if isinstance(rank, int)] if isinstance(told, list) else []
        late = stall.time if stall.time is not None else math.inf
        return bool(silent) and all(leaving.get(rank, math.inf) < late for rank in silent)

    return [event for event in evidence.of("job.stalled") if not had_left(event)]


def is_over(stall: Event, evidence: Evidence) -> bool:
    """Whether the job went on after a stall, by the agent's word or by what a look shows, or ended well."""
    times = [e.time or 0.0 for e in resumed(evidence.events)]
    over = [k for k in looks(evidence) if k.cause == "stalled" and k.resolved_after_s is not None]
    times += [look.time for look in over if look.time is not None]
    ended = next(iter(resumed(evidence.events, "command.ended")), None)
    done = ended is not None and ended.data.get("exit_code") == 0
    return done or any(time >= (stall.time or 0) for time in times)

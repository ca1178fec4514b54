"""How the job stands or ended, seen as a whole: what a person would call the symptom."""

from collections.abc import Iterable

from diagnose.asked import is_over, stalls
from diagnose.containers import TOLD, never_began, vanished
from diagnose.gates import closed
from diagnose.looks import decisive
from diagnose.model import Event, Evidence, Fact, FactKind
from diagnose.raisings import TIMED_OUT
from diagnose.standing import is_late, is_moving, standing, waited_s, waits
from diagnose.starting import never_joined
from diagnose.waiting import ranks

NEEDS = ("run", "agent", "launcher_log", "rank_log")
KINDS = {
    "job.outcome": FactKind("data: symptom, phase, silent_s, exit_code", NEEDS),
    "job.completed": FactKind("the command exited with code 0", ("run",)),
    "job.stalled": FactKind(
        "no step, collective or phase for longer than allowed; data: resolved", ("agent",)
    ),
}
# What others say of ends of which no agent tells.
ENDS = (
    *("launcher.rank_failed", "kernel.oom_killed", "process.aborted"),
    *("platform.oom_told", "platform.call_ended", "scheduler.oom_told"),
)
STUCK = ("nccl.heartbeat_lost",)
BROKEN = (
    "cuda.out_of_memory",
    "cuda.access_refused",
    "cuda.assert_failed",
    "version.refused",
)  # what ends it


def derive(evidence: Evidence) -> Iterable[Fact]:
    called = stalls(evidence)
    ends = sorted(evidence.of("command.ended"), key=lambda e: e.data.get("exit_code") == 0)
    ended = next(iter(ends), None)  # of several nodes one on which it failed
    code = ended.data.get("exit_code") if ended else None
    last = called[-1] if called else None
    resolved = last is not None and is_over(last, evidence)
    done = ended is not None and code == 0
    if ended is not None and done:
        yield Fact(
            kind="job.completed", text="the command exited with code 0", since=ended.time, events=[ended]
        )
    if last is not None:
        silent = last.data.get("silent_s")
        words = f"no progress for {silent:.0f} s" if isinstance(silent, int | float) else "no progress"
        yield Fact(
            kind="job.stalled",
            text=words + (", then it went on" if resolved else ""),
            data={"resolved": resolved, "silent_s": silent},
            since=last.time,
            events=[last],
        )
    seen, silent_s = visited(evidence)
    yield Fact(
        kind="job.outcome",
        text="the job as a whole",
        data={
            "symptom": seen or symptom(evidence, ended, last is not None and not resolved, bool(called)),
            "phase": phase(evidence),
            "silent_s": last.data.get("silent_s") if last else silent_s,
            "exit_code": code,
        },
        events=[e for e in (ended, last) if e],
    )


def visited(evidence: Evidence) -> tuple[str, float | None]:
    """What a look at a job that was started without us shows of it: the symptom, and its silence."""
    look = decisive(evidence)
    if look is None or look.cause != "asked":
        return "", None
    waiting = {rank for wait in waits(look, evidence) for rank in ranks(wait.waiting)}
    if waiting:
        stands = standing(look, evidence)
        callers = [one for one in stands if one.rank in waiting]
        silent_s = waited_s(callers, look, evidence)
        if silent_s is not None and silent_s < 1:  # they spin while they wait
            silent_s = waited_s(stands, look, evidence)
        return "hang" if is_late(callers, look, evidence) else "", silent_s
    return "none" if is_moving(look, evidence) else "", None


def symptom(evidence: Evidence, ended: Event | None, stalled: bool, ever: bool) -> str:
    """will_not_start | crash | hang | slow | none | unknown."""
    kinds = ("exception.raised", "gloo.timed_out", "nccl.watchdog_timed_out", *STUCK, *BROKEN)
    errors = list(evidence.of(*kinds))
    timeouts = [
        e
        for e in errors
        if e.kind not in BROKEN
        and (e.kind != "exception.raised" or TIMED_OUT.search(str(e.data.get("message"))))
    ]
    deaths = [e for e in evidence.of("rank.died") if e.data.get("signal") or e.data.get("exit_code")]
    if ended is not None and ended.data.get("exit_code") == 0 and not deaths:
        return "slow" if ever else "none"
    if (
        any(evidence.of("preflight.failed"))
        or closed(evidence)
        or never_joined(evidence, stalled)
        or (never_began(evidence) and not any(evidence.of(*TOLD)))
    ):
        return "will_not_start"
    if stalled and not deaths:
        return "hang"
    first = min(
        (e.time for e in [*errors, *deaths] if e.time is not None and e not in timeouts), default=None
    )
    fired = min((e.time for e in timeouts if e.time is not None), default=None)
    if timeouts and (fired is None or first is None or fired <= first + 1.0 or stalled):
        return "hang"
    if stalled:
        return "hang" if first is None or (first > stall_time(evidence)) else "crash"
    failed = any(e.data.get("exit_code") for e in evidence.of("container.exited"))
    if errors or deaths or ended is not None or failed or vanished(evidence) or any(evidence.of(*ENDS)):
        return "crash"
    return "slow" if ever else "unknown"


def stall_time(evidence: Evidence) -> float:
    return max((e.time for e in evidence.of("job.stalled") if e.time is not None), default=0.0)


def phase(evidence: Evidence) -> str:
    """Where the job was: the newest open phase of any rank, else its step."""
    open_: dict[tuple[int | None, object], Event] = {}
    for event in evidence.of("phase.started", "phase.ended"):
        key = (event.rank, event.data.get("phase"))
        if event.kind == "phase.started":
            open_[key] = event
        else:
            open_.pop(key, None)
    if any(event.kind == "step.first_completed" for event in evidence.events):
        told = evidence.of("rank.sampled", "rank.died")
        steps = max((n for e in told if isinstance(n := e.data.get("num_steps"), int)), default=0)
        return f"step {steps}" if steps else "training"
    if open_:
        return str(max(open_.values(), key=lambda e: e.time or 0.0).data.get("phase"))
    return "the first step" if any(evidence.of("rank.claimed")) else "unknown"

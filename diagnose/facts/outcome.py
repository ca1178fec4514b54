"""How the job stands or ended, seen as a whole: what a person would call the symptom."""

from collections.abc import Iterable

from diagnose.activity import WORKING, frames, of_rank
from diagnose.asked import stalls
from diagnose.communicators import advances
from diagnose.compiling import compilers, moves, spans
from diagnose.looks import Look, decisive, looks
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.raisings import TIMED_OUT
from diagnose.rendezvous import came_together, inits, sayings
from diagnose.standing import is_late, is_moving, standing, waited_s, waits
from diagnose.waiting import ranks

NEEDS = ("run", "agent", "launcher_log", "rank_log")
KINDS = {
    "job.outcome": FactKind("data: symptom, phase, silent_s, exit_code", NEEDS),
    "job.completed": FactKind("the command exited with code 0", ("run",)),
    "job.stalled": FactKind(
        "no step, collective or phase for longer than allowed; data: resolved", ("agent",)
    ),
    "job.slowed": FactKind(
        "it was slow and moved all along; data: how (resumed, compiling, working, busy, advanced, told), "
        "moving_share (CPU of the idlest rank; 1 = it went on)",
        ("agent", "flight_recorder", "launcher_log", "rank_log"),
    ),
    "rank.unseen": FactKind(
        "ranks of the world size that left no sign of themselves", ("rank_hook", "agent")
    ),
}
SOON_S = 60.0  # between two dumps of a job that was looked at once
FAILED = ("exception.raised", "gloo.timed_out", "nccl.watchdog_timed_out", "rank.died")
# Lines of a job that goes on, whatever it waits for.
QUIET = {
    "log.read",
    "compile.told",
    "compile.noted",
    "phase.bar_told",
    "nccl.version_told",
    "nccl.comm_inited",
}
QUIET |= {"nccl.network_chosen", "nccl.proxy_named", "engine.waited"}
FEW = 2  # waits of an engine since its last sign of work
# What others say of ends of which no agent tells.
ENDS = ("launcher.rank_failed", "kernel.oom_killed", "platform.oom_told", "scheduler.oom_told")

STUCK = ("nccl.heartbeat_lost",)
BROKEN = (
    "cuda.out_of_memory",
    "cuda.access_refused",
    "cuda.assert_failed",
    "version.refused",
)  # what ends it


def derive(evidence: Evidence) -> Iterable[Fact]:
    called = stalls(evidence)
    resumed = [e.time or 0.0 for e in evidence.of("job.progressed")]
    over = [k for k in looks(evidence) if k.cause == "stalled" and k.resolved_after_s is not None]
    resumed += [look.time for look in over if look.time is not None]
    ended = next(evidence.of("command.ended"), None)
    code = ended.data.get("exit_code") if ended else None
    last = called[-1] if called else None
    open_ = last is not None and not any(time >= (last.time or 0) for time in resumed)
    done = ended is not None and code == 0
    if ended is not None and done:
        yield Fact(
            kind="job.completed", text="the command exited with code 0", since=ended.time, events=[ended]
        )
    if last is not None:
        silent = last.data.get("silent_s")
        words = f"no progress for {silent:.0f} s" if isinstance(silent, int | float) else "no progress"
        resolved = not open_ or done
        yield Fact(
            kind="job.stalled",
            text=words + (", then it went on" if resolved else ""),
            data={"resolved": resolved, "silent_s": silent},
            since=last.time,
            events=[last],
        )
        if ended is None or done:
            yield from slowed(last, resolved, evidence)
    if not called:
        yield from advanced(evidence)
        if ended is None:
            yield from told_at_work(evidence)
    yield from unseen(evidence, bool(called))
    seen, silent_s = visited(evidence)
    yield Fact(
        kind="job.outcome",
        text="the job as a whole",
        data={
            "symptom": seen or symptom(evidence, ended, open_ and not done, bool(called)),
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
    errors = [
        e
        for e in evidence.of("exception.raised", "gloo.timed_out", "nccl.watchdog_timed_out", *STUCK, *BROKEN)
    ]
    timeouts = [
        e
        for e in errors
        if e.kind not in BROKEN
        and (e.kind != "exception.raised" or TIMED_OUT.search(str(e.data.get("message"))))
    ]
    deaths = [e for e in evidence.of("rank.died") if e.data.get("signal") or e.data.get("exit_code")]
    if ended is not None and ended.data.get("exit_code") == 0 and not deaths:
        return "slow" if ever else "none"
    if never_joined(evidence, stalled):
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
    if errors or deaths or ended is not None or any(evidence.of("process.aborted", *ENDS)):
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


def slowed(stall: Event, resolved: bool, evidence: Evidence) -> Iterable[Fact]:
    """Long but moving: it went on by itself, all ranks compile, or all used their CPU throughout."""
    shares: dict[int, float] = {}
    for event in evidence.of("rank.sampled"):
        busy, over = event.data.get("busy_s"), event.data.get("interval_s")
        near = stall.time is not None and event.time is not None and abs(event.time - stall.time) < 15
        if (
            near
            and event.rank is not None
            and isinstance(busy, int | float)
            and isinstance(over, int | float)
            and over
        ):
            shares[event.rank] = max(shares.get(event.rank, 0.0), busy / over)
    waiting = any(row for row in evidence.of("flight.group_read") if pending(row))
    share = min((shares.get(rank, 0.0) for rank in evidence.ranks), default=0.0)
    if resolved:
        yield slow(stall, "resumed", "the job went on by itself", 1.0)
    elif all_compile(evidence):
        yield slow(stall, "compiling", "every rank compiles", 1.0)
    elif not waiting and (look := decisive(evidence)) and all(at_work(look, r) for r in evidence.ranks):
        yield slow(stall, "working", "no rank waits for another, and all are at work", 1.0)
    elif not waiting:
        text = f"no rank waits for another; each uses at least {share:.0%} of a core"
        yield slow(stall, "busy", text, share)


def at_work(look: Look, rank: int) -> bool:
    """Whether a rank moved on between two scans: on a crowded machine it uses little CPU for that."""
    doing = of_rank(look, rank, False)
    if doing is None or not doing.moving:
        return False
    places = {tuple(frames(event)) for event in look.each(rank, "stack.read")}
    return doing.is_ in {"import", "compile"} or (doing.is_ in WORKING and len(places) > 1)


def advanced(evidence: Evidence) -> Iterable[Fact]:
    """Whoever looked thought it was stuck, and every rank got on between two dumps, one soon after the other.

    After longer the job may have gone on at first, and been stuck by the second.
    """
    look = decisive(evidence)
    if look is None or look.cause not in ("foreign", "asked") or any(evidence.of(*FAILED)):
        return
    scans = [[e for e in scan if e.kind == "flight.read"] for scan in look.scans]
    times = [time for scan in scans for e in scan if (time := e.time) is not None]
    nums, read = advances(look), look.last("flight.read")
    if len(scans) < 2 or not times or max(times) - min(times) > SOON_S:
        return
    if nums and set(nums) == set(read) and len(nums) >= (evidence.num_ranks or 0):
        few, most = min(nums.values()), max(nums.values())
        how_many = f"{few}" if few == most else f"{few} to {most}"
        text = f"not stuck: {named(sorted(nums))} completed {how_many} collectives between two dumps"
        yield slow(read[min(read)], "advanced", text, 1.0)


def told_at_work(evidence: Evidence) -> Iterable[Fact]:
    """Logs that tell of long work and of nothing that failed, not even of a wait that ended in vain."""
    told = list(evidence.of("compile.told", "compile.noted", "phase.bar_told"))
    quiet = [e for e in evidence.events if e.kind not in QUIET]
    waits = [e for e in evidence.of("engine.waited") if told and is_below(e, told[-1])]
    if told and not quiet and len(waits) <= FEW:
        last = told[-1]
        what = last.data.get("text") or last.data.get("what")
        data: dict[str, object] = {"how": "told", "moving_share": 1.0}
        text = f"nothing failed, and it was at work: {str(what)[:100]}"
        yield Fact(kind="job.slowed", text=text, data=data, since=last.time, events=[last], inferred=True)


def is_below(event: Event, other: Event) -> bool:
    """Whether a line stands below another one in the same file."""
    (file, _, at), (of, _, line) = event.where.rpartition(":"), other.where.rpartition(":")
    return file == of and at.isdecimal() and line.isdecimal() and int(at) > int(line)


def all_compile(evidence: Evidence) -> bool:
    """Whether every rank compiled at the look, and was at it: the CPU is that of its compilers."""
    look = decisive(evidence)
    if look is None:
        return False
    compiling = compilers(look, evidence, spans(evidence), set())
    return set(compiling) >= set(evidence.ranks) and any(moves(r, look, evidence) for r in compiling)


def slow(stall: Event, how: str, text: str, share: float) -> Fact:
    data: dict[str, object] = {"how": how, "moving_share": share}
    return Fact(kind="job.slowed", text=text, data=data, since=stall.time, events=[stall])


def pending(event: Event) -> bool:
    launched, completed = event.data.get("launched"), event.data.get("completed")
    return isinstance(launched, int) and isinstance(completed, int) and launched > completed


def unseen(evidence: Evidence, stalled: bool) -> Iterable[Fact]:
    """Ranks the world size promises and nothing speaks of, while others wait for them in the rendezvous."""
    told = list(sayings(evidence))
    if not (told or is_joining(evidence, stalled)) or came_together(evidence):
        return
    counts = ((event, whole(d.get("joined")), whole(d.get("expected"))) for event, _, d in told)
    counted = next(((event, j, n) for event, j, n in counts if j is not None and n is not None), None)
    num = max(evidence.num_ranks or 0, counted[2] if counted else 0)
    lost = sorted(set(range(min(num, 1 << 17))) - set(evidence.ranks))
    words = f"{named(lost)} of {num} left no sign"
    if counted:
        fits = counted[2] - counted[1] == len(lost)
        words += f", and {counted[1]} of {counted[2]} came to the rendezvous"
    else:  # of foreign evidence only a part may be at hand
        fits = bool({"rank_hook", "agent"} & evidence.read)
    is_foreign = not {"rank_hook", "agent"} & evidence.read
    unreached = any(kind == "store.unreachable" for _, kind, _ in told)
    if not fits and is_foreign and not unreached:
        yield from nobody_tells(told, counted)
    if lost and fits:
        claims = list(evidence.of("rank.claimed", "rank.found"))[:1]
        yield Fact(
            kind="rank.unseen",
            text=words,
            ranks=lost,
            data={"counted": counted is not None},
            events=[*([counted[0]] if counted else []), *claims],
        )


def nobody_tells(
    told: list[tuple[Event, str, dict[str, object]]], counted: tuple[Event, int, int] | None
) -> Iterable[Fact]:
    """That some did not come, where nothing tells who: by a store's count, or by a launcher's rendezvous."""
    waited = [event for event, kind, data in told if kind == "store.clients_missing" and "joined" not in data]
    if counted and counted[1] < counted[2]:
        text, events = f"{counted[1]} of {counted[2]} ranks came to the rendezvous", [counted[0]]
    elif waited and not counted:
        text, events = "not all nodes came to the launcher's rendezvous", waited[:4]
    else:
        return
    yield Fact(
        kind="rank.unseen",
        text=f"{text}; who did not, nobody tells",
        data={"counted": counted is not None},
        events=events,
        inferred=True,
    )


def is_joining(evidence: Evidence, stalled: bool) -> bool:
    """Whether ranks wait in the rendezvous: by their hooks' word in a stall, or by stacks at a look."""
    look = decisive(evidence)
    seen = (of_rank(look, rank, False) for rank in evidence.ranks) if look else ()
    return (stalled and any(not init.ok for init in inits(evidence))) or any(
        activity is not None and activity.is_ == "rendezvous" for activity in seen
    )


def whole(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def never_joined(evidence: Evidence, stalled: bool) -> bool:
    """Whether the ranks never came together: what went wrong first is the rendezvous itself."""
    if any(evidence.of("step.first_completed")) or came_together(evidence):
        return False
    told = [event for event, _, _ in sayings(evidence)]
    others = [e for e in evidence.of("exception.raised") if e not in told]
    others += [e for e in evidence.of("rank.died") if e.data.get("signal")]
    since = min((e.time for e in told if e.time is not None), default=None)
    before = [e for e in others if since is None or e.time is None or e.time < since]
    return not before and (bool(told) or is_joining(evidence, stalled))

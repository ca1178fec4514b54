"""Long but moving: a job that nothing completes for a while, and that is not stuck."""

from collections.abc import Iterable

from diagnose.activity import WORKING, of_rank
from diagnose.asked import is_over, stalls
from diagnose.communicators import advances
from diagnose.compiling import NEAR_S, compilers, moves, spans
from diagnose.looks import Look, decisive
from diagnose.model import Event, Evidence, Fact, FactKind, is_below, named
from diagnose.stackframes import frames

KINDS = {
    "job.slowed": FactKind(
        "it was slow and moved all along; data: how (resumed, compiling, working, busy, advanced, told), "
        "moving_share (CPU of the idlest rank; 1 = it went on)",
        ("agent", "flight_recorder", "launcher_log", "rank_log"),
    ),
}
SOON_S = 60.0  # between two dumps of a job that was looked at once
FAILED = ("exception.raised", "gloo.timed_out", "nccl.watchdog_timed_out", "rank.died")
# Lines of a job that goes on, whatever it waits for.
QUIET = {
    *("log.read", "compile.told", "phase.bar_told", "engine.waited"),
    *("nccl.version_told", "nccl.comm_inited", "nccl.network_chosen", "nccl.proxy_named"),
}
FEW = 2  # waits of an engine since its last sign of work


def derive(evidence: Evidence) -> Iterable[Fact]:
    called = stalls(evidence)
    ended = next(evidence.of("command.ended"), None)
    if called and (ended is None or ended.data.get("exit_code") == 0):
        yield from slowed(called[-1], is_over(called[-1], evidence), evidence)
    if not called:
        yield from advanced(evidence)
        if ended is None:
            yield from told_at_work(evidence)


def slowed(stall: Event, resolved: bool, evidence: Evidence) -> Iterable[Fact]:
    """Long but moving: it went on by itself, all ranks compile, or all used their CPU throughout."""
    shares: dict[int, float] = {}
    for event in evidence.of("rank.sampled"):
        busy, over = event.data.get("busy_s"), event.data.get("interval_s")
        near = stall.time is not None and event.time is not None and abs(event.time - stall.time) < NEAR_S
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
    told = list(evidence.of("compile.told", "phase.bar_told"))
    quiet = [e for e in evidence.events if e.kind not in QUIET]
    waits = [e for e in evidence.of("engine.waited") if told and is_below(e, told[-1])]
    if told and not quiet and len(waits) <= FEW:
        last = told[-1]
        what = last.data.get("text") or last.data.get("what")
        data: dict[str, object] = {"how": "told", "moving_share": 1.0}
        text = f"nothing failed, and it was at work: {str(what)[:100]}"
        yield Fact(kind="job.slowed", text=text, data=data, since=last.time, events=[last], inferred=True)


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

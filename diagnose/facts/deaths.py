"""How each rank ended, and which ends are consequences of an earlier one.

Sources: the agent's pidfds, the launcher's log, the command's own status. A launcher ends the survivors of a
failure with SIGTERM and, 30 s later, SIGKILL: those ends prove nothing about the ranks they hit.
"""

import re
import signal
from collections.abc import Iterable

from diagnose.asked import ENDINGS, asked, failed_before, heeded, stalls
from diagnose.endings import End, ended, workers_killed
from diagnose.leaving import TOGETHER_S, Leaving, closings
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind, earliest, integer, named
from diagnose.resuming import resumed

NEEDS = ("agent", "launcher_log", "run")
KINDS = {
    "process.killed": FactKind("SIGKILL; data: by (unknown, launcher, us), first, worker", NEEDS),
    "process.crashed": FactKind("a signal of its own fault; data: signal, name, in_collective, first", NEEDS),
    "process.terminated": FactKind(
        "SIGTERM, SIGINT or SIGHUP; data: by (unknown, launcher, operator, us)", NEEDS
    ),
    "process.exited": FactKind(
        "ended by itself; data: exit_code, early (others still needed it), raised, own (it chose the code)",
        NEEDS,
    ),
    "process.cleaned_up": FactKind("the launcher ended it after another rank's failure", NEEDS),
    "command.signalled": FactKind(
        "the run, its launcher or all ranks were sent a signal; data: signal, while_stalled, after_failure",
        ("run", "launcher_log"),
    ),
}
LIBRARY = re.compile(r"'(?:gloo::\w+|c10::Dist\w*Error|c10d::\w+)'")
FAULT = re.compile(r"Segmentation fault|Segfault|Bus error|Illegal instruction|Caught signal (?:4|7|8|11)\b")
CRASHES = {4, 5, 6, 7, 8, 11, 31}
SENT = {"command.ended": "the command was ended by", "rank.died": "all ranks were ended at once by"}
GRACE_S = 25.0  # torchrun sends SIGKILL 30 s after SIGTERM
AT_ONCE_S = 0.05  # ends within this of each other have no order


def derive(evidence: Evidence) -> Iterable[Fact]:
    ends = [heeded(end) for end in ended(evidence).values()]
    ends.sort(key=lambda e: (e.time is None, e.time or 0.0, e.rank))
    signals = asked(ends, evidence)
    for event in signals[:1]:
        name = signal_name(integer(event.data.get("signal")))
        yield Fact(
            kind="command.signalled",
            text=f"{SENT.get(event.kind, 'the run was sent')} {name}",
            data={
                "signal": name,
                "while_stalled": stalled_at(event.time, evidence),
                "after_failure": failed_before(event, ends, evidence),
            },
            since=event.time,
            events=signals,
        )
    closed = closings(evidence)
    leaving = Leaving(evidence, ends)
    failures = [e for e in ends if (e.sig or e.code) and e.rank not in closed and not e.by_us]
    own = [e for e in failures if not (e.code and e.rank in leaving.victims)] or failures
    first = min((e.time for e in own if e.time is not None), default=None)
    for end in ends:
        yield from fact(end, evidence, first, end.rank in closed, signals, leaving)
    yield from told(ends, evidence)
    for end in workers_killed(evidence):
        words = f"a loader worker of {named([end.rank])} was ended by SIGKILL"
        yield statement("process.killed", words, end, {"by": "unknown", "worker": True, "first": False})


def told(ends: list[End], evidence: Evidence) -> Iterable[Fact]:
    """Crashes in a process's own words, where nothing tells how any rank ended."""
    found = [e for e in evidence.of("process.aborted") if FAULT.search(str(e.data.get("text")))]
    if not ends and found and not ended_well(evidence):
        for rank in {e.rank: e for e in found}:
            mine = [e for e in found if e.rank == rank]
            who = "a rank" if rank is None else named([rank])
            yield Fact(
                kind="process.crashed",
                text=f"{who} crashed: {mine[0].data.get('text')}",
                ranks=[] if rank is None else [rank],
                data={"first": True, "in_collective": False, "exit_code": None},
                since=earliest(mine),
                events=mine[:4],
                inferred=True,
            )


def fact(
    end: End, evidence: Evidence, first: float | None, closed: bool, signals: list[Event], leaving: Leaving
) -> Iterable[Fact]:
    later = first is not None and end.time is not None and end.time > first + AT_ONCE_S
    since = signals[0].time if signals and signals[0].kind == "signal.received" else None
    operator = bool(signals) and (end.time is None or since is None or end.time >= since)
    data: dict[str, object] = {"first": not later and not rootless(end, evidence), "exit_code": end.code}
    if end.sig == signal.SIGKILL:
        data["by"] = "us" if end.by_us else "launcher" if closed or after_grace(end, first) else "unknown"
        if operator and data["by"] == "unknown":
            data["by"] = "operator"
        yield statement("process.killed", f"{named([end.rank])} was ended by SIGKILL", end, data)
    elif end.sig in CRASHES:
        said = last_words(end, evidence)
        text = f"{named([end.rank])} crashed with {signal_name(end.sig)}" + (f": {said[1]}" if said else "")
        data |= {"signal": end.sig, "in_collective": took_itself_down(end, evidence)}
        yield statement("process.crashed", text, end, data, *([said[0]] if said else []))
    elif end.sig in ENDINGS:
        swept = closed or later or follows(end, leaving.ends) or ended_well(evidence)
        data["by"] = "us" if end.by_us else "operator" if operator else "launcher" if swept else "unknown"
        yield statement(
            "process.terminated", f"{named([end.rank])} was ended by {signal_name(end.sig)}", end, data
        )
    elif end.code is not None:
        is_early, text = leaving.early(end), f"{named([end.rank])} exited with code {end.code}"
        data |= {"raised": end.rank in leaving.raised, "early": is_early, "operator": operator}
        after = first is not None and end.time is not None and end.time > first + TOGETHER_S
        data["own"] = bool(end.code) and not (is_early or after) and leaving.is_own(end)
        if (is_early or data["own"]) and (line := last_line(end.rank, evidence)):
            text += f"; its last line: {line}"
        yield statement("process.exited", text, end, data)


def rootless(end: End, evidence: Evidence) -> bool:
    """Whether a table lists it among the later failures, and the row of the first one is not there."""
    rows = list(evidence.of("launcher.failure_listed"))
    return end.event in rows and not any(row.data.get("root") for row in rows)


def statement(kind: str, text: str, end: End, data: dict[str, object], *more: Event) -> Fact:
    if data.get("by") == "launcher":
        kind, text = "process.cleaned_up", f"{text}, by the launcher"
    events = [*more, end.event]
    return Fact(kind=kind, text=text, ranks=[end.rank], data=data, since=end.time, events=events)


def last_line(rank: int, evidence: Evidence) -> str:
    """The last thing that a rank printed."""
    whose = (rank, None) if evidence.num_ranks == 1 else (rank,)
    logs = (e for e in evidence.of("log.read") if e.rank in whose and e.data.get("last_line"))
    return next((str(e.data["last_line"])[:160] for e in logs), "")


def took_itself_down(end: End, evidence: Evidence) -> bool:
    """Whether the communication library ended the process: for a peer that is lost, late or different."""
    if any(e.rank in (None, end.rank) for e in evidence.of("gloo.size_mismatched")):
        return True
    said = [e for e in evidence.of("nccl.took_down", "process.aborted") if e.rank == end.rank]
    said = said or [e for e in evidence.of("nccl.took_down") if e.rank is None]  # the oldest name no rank
    old = [e for e in evidence.of("nccl.watchdog_timed_out") if e.rank is None]  # they name a rank inside
    return end.sig == signal.SIGABRT and (
        any(e.kind == "nccl.took_down" or LIBRARY.search(str(e.data.get("text", ""))) for e in said)
        or any(e.data.get("group_rank") == end.rank for e in old)
    )


def last_words(end: End, evidence: Evidence) -> tuple[Event, str] | None:
    """What the kernel or the C runtime said of a crash, and where."""
    told = [*evidence.of("kernel.crashed"), *evidence.of("process.aborted")]
    for event in sorted(told, key=lambda e: e.source == "launcher_log"):
        mine = end.pid is not None and event.data.get("pid") == end.pid
        if mine or event.rank == end.rank:
            return event, str(event.data.get("text", ""))[:200]
    return None


def stalled_at(time: float | None, evidence: Evidence) -> bool:
    """Whether a stall had been called, and not ended, when a signal came."""
    told = [*stalls(evidence), *resumed(evidence.events)]
    calls = [e for e in told if e.time is None or e.time <= (time or e.time)]
    return bool(calls) and max(calls, key=lambda e: e.time or 0.0).kind == "job.stalled"


def follows(end: End, ends: list[End]) -> bool:
    """Whether another rank had failed by itself before this one was asked to end, however shortly before."""
    return end.time is not None and any(
        e.rank != end.rank
        and e.time is not None
        and e.time < end.time
        and (e.code or (e.sig and e.sig not in ENDINGS))
        for e in ends
    )


def after_grace(end: End, first: float | None) -> bool:
    """A SIGKILL half a minute after the first failure is the launcher's own."""
    return first is not None and end.time is not None and end.time - first > GRACE_S


def signal_name(value: int | None) -> str:
    try:
        return signal.Signals(value or 0).name
    except ValueError:
        return "a signal"

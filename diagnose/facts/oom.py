"""Ranks that the kernel killed for memory. Exit code 137 proves nothing; the kernel's own word does.

Two witnesses: the kernel's log names the process, and the `oom_kill` count of the rank's memory cgroup rises.
A scheduler or a platform passes its word on, and may not say of whom.
The log's pids are the host's. In a container they differ from ours: then time and number have to do.
"""

import re
import signal
from collections.abc import Iterable, Sequence

import msgspec

from diagnose.endings import WORKER, End, ended, workers_killed
from diagnose.leaving import closings
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind, earliest, integer, named

NEEDS = ("cgroup", "kernel_log", "platform_log")
KINDS = {
    "process.oom_killed": FactKind(
        "the kernel killed the rank for memory; data: by (kernel_log, cgroup, platform_log), "
        "limited (cgroup, host)",
        NEEDS,
    )
}
NEAR_S = 5.0  # the kernel's word and the death; its clock and ours are of one machine
WORKER_S = 15.0  # a loader notices the death of a worker this late
OURS = re.compile(
    r"^(?:python|pt_|ray::|torchrun|accelerate|deepspeed|vllm|sglang|VLLM|tritonserver"
    r"|text-generation|trtllm|lmdeploy|.{0,20}train)"
)
REUSE_S = 600.0  # a pid names the same process for this long, where only one of the two has a time zone


def derive(evidence: Evidence) -> Iterable[Fact]:
    closed = closings(evidence)
    ends = [*ended(evidence).values(), *workers_killed(evidence)]
    killed = [end for end in ends if end.sig in (signal.SIGKILL, None) and not end.code and not end.by_us]
    ours = {end.pid for end in ends} | {e.data.get("pid") for e in evidence.of("rank.claimed", "rank.found")}
    reports = list(evidence.of("kernel.oom_killed"))
    known = {r.data.get("pid") for r in reports}
    reports += [r for r in evidence.of("kernel.oom_reaped") if r.data.get("pid") not in known]
    strange = [report for report in reports if report.data.get("pid") not in ours]
    scheduled = passed_on(killed, evidence)
    found: list[Fact] = []
    for end in killed:
        named_it = [r for r in reports if end.pid is not None and r.data.get("pid") == end.pid]
        told = [r for r in named_it if near(r, end, REUSE_S)] or alone(end, killed, strange)
        counted = risen(end, killed, evidence) if end.rank not in closed else []
        if told:
            where = str(told[0].data.get("limited", "cgroup"))
            text = f"the kernel says that it killed {named([end.rank])} for memory, {WORDS[where]}"
            found.append(statement(end, told[:1], text + room(told[0])))
        if not told and not counted and scheduled and end.sig and end.rank not in closed:
            text = f"the scheduler says that the kernel killed for memory; SIGKILL ended {named([end.rank])}"
            found.append(statement(end, scheduled, text))
        if counted:
            text = f"oom_kill of the memory cgroup of {named([end.rank])} rose at its death"
            found.append(statement(end, counted[::-1], f"{text} to {count(counted[1])}{room(counted[1])}"))
    yield from found
    if not found and not reports and not ends and not ended_well(evidence):
        yield from unfinished(evidence)
    if not found and not ended_well(evidence) and not any(evidence.of("rank.died")):
        yield from of_nobody(reports, ends, [end for end in killed if end.rank not in closed], evidence)


def passed_on(killed: Sequence[End], evidence: Evidence) -> list[Event]:
    """A platform's word, unless it counts fewer kills than there were: of whom, it does not say."""
    platform = list(evidence.of("platform.oom_told"))
    scheduled = [e for e in evidence.of("scheduler.oom_told") if e.data.get("num_kills") is not None]
    num_kills = sum(integer(e.data.get("num_kills")) or 0 for e in scheduled)
    return platform or (scheduled if num_kills >= sum(end.sig is not None for end in killed) else [])


def of_nobody(
    reports: Sequence[Event], ends: Sequence[End], killed: Sequence[End], evidence: Evidence
) -> Iterable[Fact]:
    """Kills of which nothing says whose process it was; those of a bystander are none of ours."""
    workers = {
        int(found[1])
        for e in evidence.of("exception.raised")
        if (found := WORKER.search(str(e.data.get("message", ""))))
    }
    sure = [r for r in reports if r.data.get("pid") in workers]
    likely = [r for r in reports if OURS.match(str(r.data.get("comm")))]
    ended_by_it = [end for end in killed if end.sig]
    if sure or (likely and (ended_by_it or not ends)):
        told = sure or likely
        pids = {report.data.get("pid") for report in told}
        ranks = (
            sorted({end.rank for end in ended_by_it}) if not sure and len(pids) >= len(ended_by_it) else []
        )
        yield rankless(f"the kernel killed {told[0].data.get('comm')} for memory{room(told[0])}", told, ranks)
    tasks = [e for e in evidence.of("scheduler.oom_told") if integer(e.data.get("task")) is not None]
    if tasks and not any(
        evidence.of("launcher.rank_failed", "launcher.closing_sent", "launcher.interrupted")
    ):
        names = sorted({integer(e.data.get("task")) or 0 for e in tasks})  # one task a rank
        yield rankless("the scheduler says that the kernel killed a task for memory", tasks, names)
    elif told := [*evidence.of("platform.oom_told"), *evidence.of("scheduler.oom_told")]:
        yield rankless("the platform says that the kernel killed for memory", told, [])


def unfinished(evidence: Evidence) -> Iterable[Fact]:
    """A report of the kernel's whose end, which names whom it killed, is not here."""
    asked = [e for e in evidence.of("kernel.oom_invoked") if OURS.match(str(e.data.get("comm")))]
    if asked:
        text = f"{asked[0].data.get('comm')} had the kernel look for a process to kill for memory"
        yield msgspec.structs.replace(rankless(text, asked, []), inferred=True)


def rankless(text: str, events: list[Event], ranks: list[int]) -> Fact:
    data: dict[str, object] = {"by": events[0].source, "limited": events[0].data.get("limited", "cgroup")}
    return Fact(
        kind="process.oom_killed",
        text=text,
        ranks=ranks,
        data=data,
        since=earliest(events),
        events=events[:3],
        inferred=bool(ranks) and events[0].source == "kernel_log",
    )


def statement(end: End, events: list[Event], text: str) -> Fact:
    data: dict[str, object] = {"by": events[0].source, "limited": events[0].data.get("limited", "cgroup")}
    return Fact(
        kind="process.oom_killed", text=text, ranks=[end.rank], data=data, since=end.time, events=events
    )


def room(event: Event) -> str:
    """The group's limit in words, where there is one."""
    limit = integer(event.data.get("limit"))
    return f"; its limit is {limit / 2**30:.2f} GiB" if limit else ""


WORDS = {"cgroup": "its cgroup being full", "host": "the whole host being full"}


def near(report: Event, end: End, within_s: float) -> bool:
    return report.time is None or end.time is None or abs(report.time - end.time) <= within_s


def alone(end: End, killed: Sequence[End], strange: Sequence[Event]) -> list[Event]:
    """Reports of processes with pids we do not know, at the time of this rank's end: as many as such ends."""
    if end.sig is None or end.time is None:
        return []
    then = [r for r in strange if r.time is not None and near(r, end, NEAR_S)]
    others = [e for e in killed if e.sig and e.time is not None and abs(e.time - end.time) <= NEAR_S]
    return then if len(then) >= len(others) else []


def risen(end: End, killed: Sequence[End], evidence: Evidence) -> list[Event]:
    """The readings of a rank's group around its death, where the count rose for every rank killed between."""
    if end.sig is None or end.time is None:
        return []
    mine = [e for e in evidence.of("cgroup.read") if e.rank == end.rank]
    lag = WORKER_S if end.event.kind == "exception.raised" else 0.0
    before = next((e for e in reversed(mine) if (e.time or 0.0) <= end.time - lag), None)
    after = next((e for e in mine if (e.time or 0.0) >= end.time), None)
    if before is None or after is None or before.data.get("group") != after.data.get("group"):
        return []
    group = after.data.get("group")
    groups = {e.rank: e.data.get("group") for e in evidence.of("cgroup.read")}
    between = [e for e in killed if e.sig and groups.get(e.rank) == group and within(e.time, before, after)]
    return [before, after] if count(after) - count(before) >= max(1, len(between)) else []


def within(time: float | None, before: Event, after: Event) -> bool:
    return None in (time, before.time, after.time) or (before.time or 0) <= (time or 0) <= (after.time or 0)


def count(event: Event) -> int:
    return integer(event.data.get("oom_kill")) or 0

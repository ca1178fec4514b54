"""Compile skew: some ranks compile while the others wait for them."""

from collections.abc import Iterable

import msgspec

from diagnose.compiling import Span, burst, compilers, moves, spans
from diagnose.graphs import parting
from diagnose.looks import Look, decisive, looks
from diagnose.losses import is_timeout
from diagnose.model import Event, Evidence, Fact, FactKind, earliest, named
from diagnose.standing import waits as waits_of
from diagnose.waiting import Waiting, ranks

NEEDS = ("rank_hook", "stack_dump")
KINDS = {
    "compile.alone": FactKind(
        "ranks compile while others wait for them in a collective; data: timed_out (the others' timeout "
        "fired first), finished, moving, compile_s, waited_share (of compile_s), estimate_s, "
        "timeout_left_s, cache_files, cache_files_others",
        NEEDS,
    ),
    "compile.diverged": FactKind(
        "ranks still compiled when the others' timeout fired, or compiled other collectives; data: how "
        "(timeout or graph), resolved",
        (*NEEDS, "rank_log", "launcher_log"),
    ),
    "compile.everywhere": FactKind(
        "every rank compiles, none waits for another; data: resolved, moving, step (how many were done)",
        NEEDS,
    ),
    "compile.cache_behind": FactKind("a compiling rank has fewer cache entries than the others", ("agent",)),
    "compile.child_running": FactKind("a compiler child of the rank is alive and uses CPU", ("agent",)),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    phases = spans(evidence)
    best: Fact | None = None
    for look in looks(evidence):
        if look.cause == "schedule":
            continue
        waits = waits_of(look, evidence)
        waiting = {rank for w in waits for rank in ranks(w.waiting)}
        compiling = compilers(look, evidence, phases, waiting)
        if compiling and not waiting and set(compiling) >= set(evidence.ranks):
            yield everywhere(compiling, look, phases, evidence)
        for wait in waits:
            late = [rank for rank in ranks(wait.awaited) if rank in compiling]
            if late:
                best = alone(late, wait, look, compiling, phases, evidence)
    yield from parted(evidence)
    if best is None:
        yield from still_compiling(evidence)
    if best:
        yield best
        if best.data["timed_out"]:
            data = {**best.data, "how": "timeout", "resolved": False}
            yield msgspec.structs.replace(best, kind="compile.diverged", data=data)
        yield from behind(best, evidence)
        yield from children(best, evidence)


def still_compiling(evidence: Evidence) -> Iterable[Fact]:
    """By the logs alone: who compiled reports no timeout, and those that do did not compile."""
    told = {e.rank: e for e in evidence.of("compile.told") if e.rank is not None}
    fired = {e.rank: e for e in evidence.events if e.rank is not None and is_timeout(e)}
    failed = {e.rank for e in evidence.of("exception.raised", "rank.died") if not is_timeout(e)}
    late = sorted(told.keys() - fired.keys() - failed)
    is_known = late and late != [0]  # many programs let rank 0 alone log
    if is_known and fired and not failed and not told.keys() & fired.keys():
        yield Fact(
            kind="compile.diverged",
            text=f"{named(late)} compiled, and {named(sorted(fired))} did not, whose timeout fired",
            ranks=late,
            data={"how": "timeout", "resolved": False},
            since=earliest(told[rank] for rank in late),
            events=[*(told[rank] for rank in late), *fired.values()][:4],
            inferred=True,
        )


def parted(evidence: Evidence) -> Iterable[Fact]:
    """Ranks whose graph holds another collective than the others'."""
    look = decisive(evidence)
    if look is not None and (found := parting(waits_of(look, evidence), look, evidence)):
        data = {**found.wait.data(look), "how": "graph"}
        yield Fact(
            kind="compile.diverged",
            text=found.text,
            ranks=found.ranks,
            data=data,
            since=found.wait.since(),
            events=found.events,
        )


def everywhere(compiling: dict[int, Event], look: Look, phases: list[Span], evidence: Evidence) -> Fact:
    step = done(burst(phases, list(compiling), look.time))
    again = f" once more after {step} step{'s' * (step > 1)}" if step else ""
    return Fact(
        kind="compile.everywhere",
        text=f"{named(sorted(compiling))} compile{again} at the same time, and none waits for another",
        data={
            "step": step,
            "resolved": look.resolved_after_s is not None,
            "moving": any(moves(rank, look, evidence) for rank in compiling),
        },
        since=None,
        events=list(compiling.values()),
    )


def done(phases: list[Span]) -> int | None:
    """How many steps were done when these compiles began, where the hook says so."""
    told = [span.event.data.get("step") for span in phases]
    return min((step for step in told if isinstance(step, int)), default=None)


def alone(
    late: list[int],
    wait: Waiting,
    look: Look,
    compiling: dict[int, Event],
    phases: list[Span],
    evidence: Evidence,
) -> Fact:
    mine = burst(phases, late, look.time)
    since = min((s.start for s in mine), default=None)
    ended = max((s.end for s in mine if s.end is not None), default=None)
    unfinished = not mine or any(s.end is None for s in mine)
    fired = timeout_fired(ranks(wait.waiting), evidence)
    timed_out = fired is not None and (unfinished or ended is None or fired[0] is None or fired[0] < ended)
    now = look.time
    elapsed = now - since if now is not None and since is not None else None
    counts = caches(evidence, now)
    own = min((n for rank, (n, _) in counts.items() if rank in late), default=None)
    others = max((n for rank, (n, _) in counts.items() if rank not in late), default=None)
    estimate = remaining(elapsed, own, others)
    left = timeout_left(wait, now)
    over = ended is not None and not unfinished and not timed_out
    if over and ended is not None and since is not None:
        elapsed = ended - since
    waited = share(wait, since, ended if over else now)
    words = f"{named(late)} {'compiled' if over else 'compile' if len(late) > 1 else 'compiles'}"
    words += f" for {elapsed:.0f} s" if elapsed is not None else ""
    waiting = "waited" if over else "wait" if len(wait.waiting) > 1 else "waits"
    words += f" while {named(ranks(wait.waiting))} {waiting} in {wait.place()}"
    if timed_out:
        words += "; the timeout fired before the compile ended"
    elif over:
        words += ", then it caught up"
    else:
        words += f"; catches up in about {estimate:.0f} s" if estimate is not None else "; no estimate yet"
        words += f"; the collective times out in {left:.0f} s" if left is not None and left > 0 else ""
    return Fact(
        kind="compile.alone",
        text=words,
        ranks=late,
        data={
            "timed_out": timed_out,
            "compile_s": elapsed,
            "waited_share": waited,
            "estimate_s": estimate,
            "timeout_left_s": left,
            "cache_files": own,
            "cache_files_others": others,
            "finished": not unfinished,
            "moving": over or any(moves(rank, look, evidence) for rank in late),
        },
        since=since,
        events=[compiling[r] for r in late]
        + ([fired[1]] if fired and timed_out else [])
        + [s.event for s in mine],
        inferred=wait.inferred,
    )


def share(wait: Waiting, since: float | None, until: float | None) -> float:
    """For how much of the compile the others waited; all of it where that cannot be seen."""
    begun = wait.since()
    if begun is None or since is None or until is None or until <= since:
        return 1.0
    return round(min(1.0, max(0.0, (until - begun) / (until - since))), 3)


def timeout_fired(waiting: list[int], evidence: Evidence) -> tuple[float | None, Event] | None:
    """When, and by which event, a waiting rank reported that its collective timed out."""
    found = [event for event in evidence.events if event.rank in waiting and is_timeout(event)]
    timed = [e for e in found if e.time is not None]
    event = min(timed, key=lambda e: e.time or 0.0) if timed else next(iter(found), None)
    return (event.time, event) if event else None


def caches(evidence: Evidence, now: float | None) -> dict[int, tuple[int, Event]]:
    """rank -> entries in its compile cache at the look, and the sample that says so."""
    newest: dict[int, tuple[int, Event]] = {}
    for event in evidence.of("rank.sampled"):
        count = event.data.get("cache_files")
        early = now is None or event.time is None or event.time <= now + 1
        if event.rank is not None and isinstance(count, int) and early:
            newest[event.rank] = (count, event)
    return newest


def behind(fact: Fact, evidence: Evidence) -> Iterable[Fact]:
    """Each late rank whose cache was smaller than the others' at the look."""
    own, others = fact.data["cache_files"], fact.data["cache_files_others"]
    if not isinstance(own, int) or not isinstance(others, int) or own >= others:
        return
    for rank, (count, event) in caches(evidence, fact.events[0].time).items():
        if rank in fact.ranks and count < others:
            text = f"{named([rank])} had {count} entries in its compile cache, the others up to {others}"
            data: dict[str, object] = {"cache_files": count, "cache_files_others": others}
            yield Fact(kind="compile.cache_behind", text=text, ranks=[rank], data=data, events=[event])


def remaining(elapsed: float | None, own: int | None, others: int | None) -> float | None:
    """Seconds left if the late rank's cache grows on as it did, up to what the others have."""
    if not elapsed or not own or not others or own >= others:
        return None
    return elapsed * (others - own) / own


def timeout_left(wait: Waiting, now: float | None) -> float | None:
    rows = [row for m in wait.waiting if (row := m.entry(wait.seq)) is not None and len(row) > 4]
    ends = [
        r[2] + r[4]
        for r in rows
        if isinstance(r[2], int | float) and isinstance(r[4], int | float) and r[4] > 0
    ]
    return min(ends) - now if ends and now is not None else None


def children(fact: Fact, evidence: Evidence) -> Iterable[Fact]:
    """Compiler children of the late ranks that used CPU while the others waited."""
    for rank in fact.ranks:
        seen = [
            e
            for e in evidence.of("rank.sampled")
            if e.rank == rank
            and e.data.get("children")
            and (fact.since is None or (e.time or 0) >= fact.since)
        ]
        if not seen:
            continue
        last = seen[-1]
        names = last.data.get("children")
        cpu = last.data.get("children_cpu_s")
        listed = ", ".join(sorted({str(n) for n in names})) if isinstance(names, list) else str(names)
        spent = f", {cpu:.0f} s of CPU" if isinstance(cpu, int | float) else ""
        yield Fact(
            kind="compile.child_running",
            text=f"{named([rank])} has compiler children: {listed}{spent}",
            ranks=[rank],
            data={"children": listed, "cpu_s": cpu},
            events=[last],
        )

"""A watchdog that was shorter than legal work: others waited for a rank that was still at it.

A bar tells how long a phase lasted and how long it was to last. A monitor that ends a process which compiled
guesses at the interpreter's lock; the same words fit a broken device.
"""

from collections.abc import Iterable

from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind
from diagnose.raisings import kind_of

NEEDS = ("rank_log", "launcher_log")
KINDS = {
    "phase.outlasted": FactKind(
        "a long phase outlasted a watchdog's patience; data: by (collective, store, heartbeat), what", NEEDS
    )
}
STORE_S = 600.0  # a store's patience where its message does not tell
LONG = {"autotune", "warm_up", "capture"}  # of what compilers do, that which may keep the interpreter's lock
LEAST_S = 1.0  # no collective is sure to end sooner
SLACK = 0.9  # of the patience: the phase began before the wait, or the bar is drawn now and then


def derive(evidence: Evidence) -> Iterable[Fact]:
    if ended_well(evidence) or any(kind_of(e) == "exception.raised" for e in evidence.of("exception.raised")):
        return
    waits = [*patience(evidence, "nccl.watchdog_timed_out", "timeout_ms", "collective")]
    waits += patience(evidence, "gloo.timed_out", "wait_ms", "collective")
    waits += patience(evidence, "store.key_missing", "wait_ms", "store")
    hasty = next(((event, by, wait_s) for event, by, wait_s in waits if wait_s < LEAST_S), None)
    if hasty:
        event, by, wait_s = hasty
        yield statement(by, f"the wait was limited to {wait_s * 1e3:.0f} ms", event, event, "any collective")
        return
    for event, by, wait_s in waits:
        bars = [e for e in evidence.of("phase.bar_told") if lasts(e) >= SLACK * wait_s and other(e, event)]
        if bars:
            what = str(bars[-1].data.get("what"))
            text = f"{what} was to last {lasts(bars[-1]):.0f} s, the wait for it {wait_s:.0f} s"
            yield statement(by, text, bars[-1], event, what)
            return
    stuck = next(evidence.of("nccl.heartbeat_lost"), None)
    if stuck and not waits:
        told = (e for e in evidence.of("compile.told") if e.data.get("what") in LONG)
        notes = [e for e in told if e.rank == stuck.rank]
        if notes:
            text = "the heartbeat monitor ended a process that compiled"
            yield statement("heartbeat", text, stuck, notes[-1], "compile")


def patience(evidence: Evidence, kind: str, key: str, by: str) -> Iterable[tuple[Event, str, float]]:
    """Who gave up after how long."""
    for event in evidence.of(kind):
        ms = event.data.get(key)
        if isinstance(ms, int) and ms > 0:
            yield event, by, ms / 1000
        elif by == "store":
            yield event, by, STORE_S


def lasts(bar: Event) -> float:
    """How long a phase was to last, by its bar."""
    elapsed, left = bar.data.get("elapsed_s"), bar.data.get("left_s")
    return float(sum(part for part in (elapsed, left) if isinstance(part, int)))


def other(bar: Event, wait: Event) -> bool:
    """Whether the bar may be of another rank than the one that gave up.

    Who waits for the store draws none: what is unfinished in its log is another's on the same console.
    """
    is_others = wait.kind == "store.key_missing" and bar.data.get("left_s") != 0
    return bar.rank is None or bar.rank != wait.rank or is_others


def statement(by: str, text: str, best: Event, other: Event, what: str) -> Fact:
    return Fact(
        kind="phase.outlasted",
        text=text,
        data={"by": by, "what": what},
        since=None,
        events=list({id(event): event for event in (best, other)}.values()),
        inferred=True,
    )

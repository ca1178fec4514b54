"""A save that somebody began and nobody calls done, while the others' wait for the next collective ran out.

Who waits for a save reports the timeout; the rank that saves, mostly rank 0, does not.
"""

from collections.abc import Iterable

from diagnose.losses import ended_well, is_timeout
from diagnose.model import Event, Evidence, Fact, FactKind, is_below, line_of
from diagnose.raisings import kind_of

KINDS = {
    "checkpoint.outlasted": FactKind(
        "a save was under way, and others' waits ran out; data: text", ("rank_log", "launcher_log")
    )
}
NEAR = 40  # lines: no step is told in between


def derive(evidence: Evidence) -> Iterable[Fact]:
    late = [event for event in evidence.events if is_timeout(event)]
    if not late or ended_well(evidence) or any(map(is_own, evidence.of("exception.raised"))):
        return
    waited = {n for e in late for n in (e.rank, e.data.get("group_rank")) if n is not None}
    ends = {e.where: e.data.get("num_lines") for e in evidence.of("log.read")}
    for name, events in sorted(by_file(evidence).items()):
        last = events[-1]
        before = [e for e in late if is_below(e, last)]
        until = line_of(before[0])[1] if before else ends.get(name)
        is_last = isinstance(until, int) and until - line_of(last)[1] <= NEAR
        saver = last.rank if last.rank is not None else 0  # who tells of saves on one console
        if last.kind == "checkpoint.begun" and is_last and saver not in waited:
            yield Fact(
                kind="checkpoint.outlasted",
                text=f"others' waits ran out while a checkpoint was saved: {last.data.get('text')}",
                ranks=[] if last.rank is None else [last.rank],
                data={"text": last.data.get("text")},
                since=last.time,
                events=[last, before[0] if before else late[0]],
                inferred=True,
            )
            return


def is_own(event: Event) -> bool:
    """Whether a rank failed for a reason of its own."""
    return kind_of(event) == "exception.raised"


def by_file(evidence: Evidence) -> dict[str, list[Event]]:
    """What each log tells of saves, up to its first timeout, in order."""
    found: dict[str, list[Event]] = {}
    over: set[str] = set()
    for event in evidence.events:
        if is_timeout(event):
            over.add(line_of(event)[0])
        elif event.kind in ("checkpoint.begun", "checkpoint.saved") and line_of(event)[0] not in over:
            found.setdefault(line_of(event)[0], []).append(event)
    return found

"""The compile cache's gate before the start: closed, so that nothing was started."""

from collections.abc import Iterable

from diagnose.containers import OF_A_RUN
from diagnose.gates import closed
from diagnose.model import Evidence, Fact, FactKind

KINDS = {
    "cache.gate_closed": FactKind(
        "the compile cache was not fit for several ranks, and nothing was started; data: why (cold, foreign "
        "or unreadable)",
        OF_A_RUN,  # who tells of a rank, or of a launcher, shows that something was started
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    event = closed(evidence)
    if event is None:
        return
    least = event.data.get("threshold")
    learnt = f" ({least.get('learnt_from')})" if isinstance(least, dict) else ""
    yield Fact(
        kind="cache.gate_closed",
        text=f"the compile cache held the start back: {event.data.get('reason')}{learnt}"[:600],
        nodes=[event.node] if event.node else [],
        data={"why": event.data.get("why")},
        since=event.time,
        events=[event],
    )

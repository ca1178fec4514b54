"""The compile cache's gate before the start: closed, so that nothing was started."""

from collections.abc import Iterable

from diagnose.containers import OF_A_RUN
from diagnose.gates import closed
from diagnose.model import Evidence, Fact, FactKind
from diagnose.values import integer, string

KINDS = {
    "cache.gate_closed": FactKind(
        "the compile cache was not fit for several ranks, and nothing was started; data: why (cold, foreign "
        "or unreadable), num_entries, num_needed",
        OF_A_RUN,  # who tells of a rank, or of a launcher, shows that something was started
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    event = closed(evidence)
    if event is None:
        return
    least = event.data.get("threshold")
    needed = least if isinstance(least, dict) else {}
    learnt = string(needed.get("learnt_from"), 300)
    yield Fact(
        kind="cache.gate_closed",
        text=f"the compile cache held the start back: {string(event.data.get('reason'), 400)}"
        + (f" ({learnt})" if learnt else ""),
        nodes=[event.node] if event.node else [],
        data={
            "why": string(event.data.get("why"), 20),
            "num_entries": integer(event.data.get("num_entries")),
            "num_needed": integer(needed.get("num_entries")),
        },
        since=event.time,
        events=[event],
    )

"""A hung job and its operator's reduced preset, run right after it at the same place: a pair that answers."""

from collections.abc import Iterable

from diagnose import reduction
from diagnose.model import Evidence, Fact, FactKind

KINDS = {
    "reduced.answered": FactKind(
        "the reduced preset was run after a hang; data: answer (only_full, both, unclear), why, run", ("run",)
    )
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    event = next(iter(evidence.of("reduced.ended")), None)
    if event is None:
        return
    answer, why = reduction.answer(event.data)
    yield Fact(
        kind="reduced.answered",
        text=f"{reduction.words(event.data)} (run {event.data.get('reduced_run')})",
        data={"answer": answer, "why": why, "run": event.data.get("reduced_run")},
        since=event.time,
        events=[event],
        inferred=True,  # a pair of runs is a strong hint, and no look at the culprit
    )

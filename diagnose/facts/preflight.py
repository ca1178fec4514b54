"""Checks before the start: one that failed, so that nothing was started."""

from collections.abc import Iterable

from diagnose.containers import OF_A_RUN
from diagnose.model import Evidence, Fact, FactKind

KINDS = {
    "preflight.failed": FactKind(
        "a check failed before the start, and nothing was started; data: num_failed",
        OF_A_RUN,  # who tells of a rank, or of a launcher, shows that something was started
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    for event in list(evidence.of("preflight.failed"))[-1:]:
        told = event.data.get("failed")
        failed = [str(one) for one in told] if isinstance(told, list) else []
        yield Fact(
            kind="preflight.failed",
            text=f"nothing was started: {'; '.join(failed)}"[:600],
            nodes=[event.node] if event.node else [],
            data={"num_failed": len(failed)},
            since=event.time,
            events=[event],
        )

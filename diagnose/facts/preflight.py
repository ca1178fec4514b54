"""Checks before the start: one that failed, so that nothing was started."""

from collections.abc import Iterable

from diagnose.model import Evidence, Fact, FactKind

# Who tells of a rank, or of a launcher, shows that something was started.
NEEDS = (
    "container",
    "run",
    "agent",
    "launcher_log",
    "rank_log",
    "rank_hook",
    "stack_dump",
    "flight_recorder",
)
KINDS = {
    "preflight.failed": FactKind(
        "a check failed before the start, and nothing was started; data: num_failed", NEEDS
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

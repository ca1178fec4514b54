"""Which of several attempts at one run speaks for it, and what it tells of the others. Pure."""

from collections.abc import Sequence

import msgspec

from diagnose.model import Event
from diagnose.verdict import Cause, Verdict

UNDER_WAY = {"launching", "detached", "running"}


def of_the_run(verdicts: Sequence[Verdict], is_under_way: bool = False) -> Verdict:
    """The last attempt's where that ended well, goes on, or has a cause; else the newest that has a cause.

    What ended the attempts before a last one that speaks for itself is context: the run outlived it.
    """
    last = verdicts[-1]
    if not last.causes and last.run.exit_code != 0 and not is_under_way:
        return next((verdict for verdict in reversed(verdicts) if verdict.causes), last)
    known = {cause.failure for cause in last.causes}
    past: dict[tuple[str, tuple[int, ...]], Cause] = {
        (cause.failure, tuple(cause.ranks)): msgspec.structs.replace(cause, role="context")
        for verdict in verdicts[:-1]
        for cause in verdict.causes or verdict.aftermath
        if cause.failure not in known
    }
    return msgspec.structs.replace(last, context=[*past.values(), *last.context]) if past else last


def is_under_way(events: Sequence[Event]) -> bool:
    """Whether the run's own state says so, and nothing in these events of its last attempt that it ended."""
    states = [str(e.data.get("state")) for e in events if e.kind == "run.state_changed"]
    ended = any(e.kind in {"command.ended", "container.ended", "container.interrupted"} for e in events)
    return bool(states) and states[-1] in UNDER_WAY and not ended

"""Which of several attempts at one run speaks for it, and what it tells of the others. Pure."""

from collections.abc import Sequence

import msgspec

from diagnose.model import Event
from diagnose.verdict import Cause, Verdict

UNDER_WAY = {"launching", "detached", "running"}
ENDS = {"command.ended", "container.ended", "container.interrupted"}


def of_the_run(verdicts: Sequence[Verdict], stands: bool) -> Verdict:
    """The last attempt's where it stands for the run or has a cause; else that of the newest that has one.

    What ended the attempts before such a last one is context: the run outlived it.
    """
    last = verdicts[-1]
    if not last.causes and not stands:
        return next((verdict for verdict in reversed(verdicts) if verdict.causes), last)
    known = {cause.failure for cause in last.causes}
    past: dict[tuple[str, tuple[int, ...]], Cause] = {
        (cause.failure, tuple(cause.ranks)): msgspec.structs.replace(cause, role="context")
        for verdict in verdicts[:-1]
        for cause in verdict.causes or verdict.aftermath
        if cause.failure not in known
    }
    return msgspec.structs.replace(last, context=[*past.values(), *last.context]) if past else last


def stands(events: Sequence[Event]) -> bool:
    """Whether an attempt ended well, by anybody's word, or goes on: of its events, where it is the last."""
    states = [e.data.get("state") for e in events if e.kind == "run.state_changed"]
    ends = [e for e in events if e.kind in ENDS]
    went_well = any(e.data.get("exit_code") == 0 for e in ends) or states[-1:] == ["ok"]
    return went_well or (not ends and bool(states) and states[-1] in UNDER_WAY)

"""Where a run stands: from its state, what became of its call, and what its containers said. Pure.

>>> following("detached", Outcome("running"), [Attempt("ta-1", began=5.0)])
Step(state='running', reason='ta-1 has begun')
>>> following("running", Outcome("running"), []) is None
True
"""

from collections.abc import Sequence
from typing import NamedTuple

from diagnose.surfaces.modal.outcome import Outcome
from diagnose.surfaces.modal.seen import Attempt, failed_node

UNHEARD = {"expired", "not_found"}  # whoever asks now is not told how it ended


class Step(NamedTuple):
    state: str
    reason: str


def following(state: str, outcome: Outcome, found: Sequence[Attempt]) -> Step | None:
    """The next step; None where the run stays where it is.

    A call returns the word of its cluster's first node alone: another one that failed is heard besides, also
    after the end was noted.
    """
    step = of_call(state, outcome, found)
    if (step.state if step else state) == "ok" and (failed := failed_node(found)):
        told = f"node {failed.node_index} ({failed.name}) ended with {failed.exit_code}"
        return Step("error", f"{step.reason}; {told}" if step else told)
    return step


def of_call(state: str, outcome: Outcome, found: Sequence[Attempt]) -> Step | None:
    """The step that the call's own outcome makes."""
    if outcome.kind == "running":
        is_new = bool(found) and state in ("launching", "detached", "lost")
        return Step("running", f"{found[-1].name} has begun") if is_new else None
    if outcome.kind == "returned":
        return returned(outcome.value, found)
    if outcome.kind in UNHEARD:
        return unheard(outcome, found)
    return Step("error", f"{outcome.kind}: {outcome.text}" if outcome.text else outcome.kind)


def returned(value: object, found: Sequence[Attempt]) -> Step:
    """What the body handed back: it never raises, and says itself how the command ended.

    A function of the user's own, which runs the body, hands back what it likes: the container's word counts.
    """
    if isinstance(value, dict) and value.get("kind") == "body_failed":
        return Step("error", f"our own part failed: {value.get('text')}")
    if not isinstance(value, dict) or "exit_code" not in value or "pushed" not in value:
        code = found[-1].exit_code if found else None
        if code is None:
            return Step(
                "error", f"the function returned {type(value).__name__}, and no container told an end"
            )
        return Step("error" if code else "ok", exit_code(code))
    how = exit_code(value["exit_code"])
    failed = value.get("failed_checks")
    if isinstance(failed, list) and failed:
        how += f": a check failed, and nothing was started: {'; '.join(map(str, failed))}"
    if value.get("pushed") not in (None, "whole", "by the mount"):
        how += f"; evidence got out {value.get('pushed')}: {value.get('push_failure')}"
    return Step("ok" if value.get("status") == "ok" else "error", how)


def exit_code(code: object) -> str:
    """As words. The shell's two codes for a command that never ran leave no other trace."""
    why = {126: " (the command cannot be run)", 127: " (the command is not there)"}
    return f"exit code {code}" + (why.get(code, "") if isinstance(code, int) else "")


def unheard(outcome: Outcome, found: Sequence[Attempt]) -> Step:
    """The result is gone, or the call is unknown: the last container's own words count."""
    why = (
        "its result is no longer kept"
        if outcome.kind == "expired"
        else f"Modal knows no such call: {outcome.text}"
    )
    last = found[-1] if found else None
    if last is None:
        return Step("lost", f"{why}, and no container left a word")
    if last.exit_code is None:
        return Step("lost", f"{why}, and {last.name} left no end")
    return Step("error" if last.exit_code else "ok", f"exit code {last.exit_code}; {why}")

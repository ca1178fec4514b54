"""The cold start taken apart: from the launch to the first step of the slowest rank. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from diagnose.contract import Manifest, Phase
from diagnose.event_lines import Kinds, Line, first, moment, text
from diagnose.model import number

# In the order of time; the compiler's share of the first step is told apart by kind.
ORDER = (
    "schedule",
    "overlay",
    "boot",
    "import",
    "context",
    "setup",
    "compile",
    "backward_compile",
    "first_step",
)


class Marks(NamedTuple):
    """When a rank had got so far, by the clock of the parent; None where nothing tells."""

    claimed: float | None
    imported: float | None
    joined: float | None
    compiles: list[tuple[float, float, str]]  # until its first step was done
    stepped: float | None


def phases(found: Manifest, kinds: Kinds, mine: Mapping[int, Kinds]) -> list[Phase]:
    """What took how long; what nothing tells of is not there."""
    start = first(kinds.get("command.started", ()))
    begun = number(start.get("time"))
    asked = found.transitions[0].time if found.transitions else None
    container = number(first(kinds.get("container.started", ())).get("time"))
    told: dict[str, dict[int | None, float]] = {name: {} for name in ORDER}
    if container is not None and asked is not None:
        told["schedule"][None] = container - asked
        if begun is not None:
            told["overlay"][None] = begun - container
    elif begun is not None and asked is not None:
        told["schedule"][None] = begun - asked
    for rank, lines in mine.items():
        for name, seconds in of_rank(begun, marks(lines, start)).items():
            told[name][rank] = seconds
    return [of(name, took) for name, took in told.items() if took]


def of(name: str, took: Mapping[int | None, float]) -> Phase:
    rank = max(took, key=lambda one: took[one])
    least = None if rank is None else round(max(0.0, min(took.values())), 3)
    return Phase(phase=name, seconds=round(max(0.0, took[rank]), 3), least_s=least, rank=rank)


def marks(lines: Kinds, start: Line) -> Marks:
    def when(kind: str, **data: str) -> float | None:
        for line in lines.get(kind, ()):
            if all(line.get(key) == value for key, value in data.items()):
                return moment(line, start)
        return None

    stepped = when("step.first_completed")
    compiles = []
    for line in lines.get("phase.ended", ()):
        end, seconds, kind = moment(line, start), number(line.get("seconds")), text(line.get("phase"))
        is_ours = kind in ("compile", "backward_compile", "cudagraph") and line.get("by") != "program"
        if is_ours and end is not None and seconds is not None and (stepped is None or end <= stepped):
            compiles.append((end - seconds, end, kind))
    return Marks(
        when("rank.claimed"),
        when("torch.imported"),
        when("phase.ended", phase="init_process_group"),
        sorted(compiles),
        stepped,
    )


def of_rank(begun: float | None, at: Marks) -> dict[str, float]:
    """One after the other, so that they add up to the way from the command to the first step."""
    took: dict[str, float] = {}
    last = begun
    for name, mark in (("boot", at.claimed), ("import", at.imported), ("context", at.joined)):
        if mark is not None and last is not None:
            took[name] = mark - last
        last = mark if mark is not None else last
    if at.compiles and last is not None:
        took["setup"] = at.compiles[0][0] - last
        backward = sum(end - start for start, end, kind in at.compiles if kind == "backward_compile")
        last = max(end for _, end, _ in at.compiles)
        took["compile"] = last - at.compiles[0][0] - backward
        if backward:
            took["backward_compile"] = backward
    if at.stepped is not None and last is not None:
        took["first_step"] = at.stepped - last
    return took


def first_forward(lines: Kinds) -> tuple[float | None, str]:
    """How long a rank's first forward pass took, and by what that is known; (None, "") where nothing tells.

    With a compiler: from its first compile to the first one of the backward pass, or to the last one before
    the first step was done. Without: at most from when the rank was ready to the end of its first step.
    """
    start = first(lines.get("rank.claimed", ()))
    at = marks(lines, start)
    if at.compiles:
        backward = next((begun for begun, _, kind in at.compiles if kind == "backward_compile"), None)
        end = backward if backward is not None else max(end for _, end, _ in at.compiles)
        if at.stepped is not None or backward is not None:
            return round(end - at.compiles[0][0], 3), "compile"
        return None, ""
    ready = max((t for t in (at.claimed, at.imported, at.joined) if t is not None), default=None)
    if at.stepped is None or ready is None:
        return None, ""
    return round(at.stepped - ready, 3), "step"

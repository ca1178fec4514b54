"""What the containers of a run said themselves: their first and last words, in the run directory. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from diagnose.values import integer, number, string

YEAR_9999 = 253_370_764_800
STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")  # of a path in a run directory
WRITERS = re.compile(r"(?:container|run)(?:-\d{6})?\.jsonl$")


class Attempt(NamedTuple):
    """One container: when it began and was last heard, and how it ended (exit code, or `interrupted`)."""

    name: str
    began: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    is_interrupted: bool = False
    call_id: str = ""
    input_id: str = ""
    cluster_id: str = ""
    node_index: int | None = None
    num_nodes: int = 1
    is_gvisor: bool = False

    @property
    def has_ended(self) -> bool:
        return self.ended is not None


def attempts(lines: Iterable[Mapping[str, object]]) -> list[Attempt]:
    """The containers that left a word, oldest first. A launcher's restart is no container of its own."""
    found: dict[str, Attempt] = {}
    for line in lines:
        name, kind, when = string(line.get("attempt"), 201), line.get("event"), moment(line.get("time"))
        if not STEP.fullmatch(name):
            continue
        if kind == "container.started":
            call, given = string(line.get("function_call_id"), 100), string(line.get("input_id"), 100)
            found[name] = found.get(name, Attempt(name))._replace(
                began=when,
                call_id=call,
                input_id=given,
                cluster_id=string(line.get("cluster_id"), 100),
                node_index=integer(line.get("node_index")),
                num_nodes=integer(line.get("num_nodes")) or 1,
                is_gvisor=line.get("is_gvisor") is True,
            )
        elif kind in ("container.ended", "command.ended") and name in found:
            code, signum = line.get("exit_code"), line.get("signal")
            shown = code if isinstance(code, int) else 128 + signum if isinstance(signum, int) else None
            found[name] = found[name]._replace(ended=when or 0.0, exit_code=shown)
        elif kind == "container.interrupted" and name in found:
            found[name] = found[name]._replace(ended=when or 0.0, is_interrupted=True)
    return sorted(found.values(), key=lambda one: (one.began or 0.0, one.name))


def moment(value: object) -> float | None:
    """A time that a clock can show, in unix seconds.

    >>> moment(1795424041.5), moment(1e18), moment(None)
    (1795424041.5, None, None)
    """
    when = number(value)
    return when if when is not None and 0 <= when < YEAR_9999 else None


def tries(found: Sequence[Attempt]) -> list[list[Attempt]]:
    """The containers that ran at the same time, as one cluster; without one each is alone. Oldest first."""
    together: dict[str, list[Attempt]] = {}
    for one in found:
        group = together.setdefault(one.cluster_id or one.name, [])
        is_again = any(other.node_index == one.node_index for other in group)
        together[one.cluster_id or one.name] = [one] if is_again else [*group, one]
    return list(together.values())


def is_each_ended(found: list[Attempt]) -> bool:
    """Whether no container of the last try may still push: a call ends with the first node's word alone."""
    last = tries(found)[-1:]
    return all(len(group) >= group[0].num_nodes and all(one.has_ended for one in group) for group in last)


def failed_node(found: Sequence[Attempt]) -> Attempt | None:
    """The first node of the last try's cluster that told a failure of its own; None where none did."""
    last = tries(found)[-1:]
    failed = [one for group in last for one in group if one.cluster_id and one.exit_code]
    return min(failed, key=lambda one: one.node_index or 0, default=None)


def story(found: list[Attempt]) -> list[str]:
    """What several containers for one input tell: a line for each that was followed by another."""
    lines, groups = [], tries(found)
    for group, after in zip_longest(groups, groups[1:]):
        for before in group:
            if before.is_interrupted:
                how = "was interrupted from outside (a preemption, or a stop)"
            elif before.has_ended:
                how = f"had ended by itself ({before.exit_code})"
            else:
                how = "left no end: it was killed from outside, with all that it had not pushed"
            if after:
                lines.append(f"{before.name} {how}; {after[0].name} ran the same input again")
            elif before.is_interrupted:
                lines.append(f"{before.name} {how}; after a preemption Modal runs the same input again")
            elif before.node_index and before.exit_code:
                lines.append(f"node {before.node_index} ({before.name}) ended with {before.exit_code}")
            elif not before.has_ended and any(one.has_ended for one in group):
                lines.append(f"node {before.node_index} ({before.name}) has told no end, as others have")
    return lines


def limits(found: list[Attempt]) -> list[str]:
    """What could not be seen of an end: a line for each limit that matters."""
    lines = []
    if any(one.is_gvisor for one in found):
        lines.append(
            "in its sandbox there is no kernel log and no count of kills for memory: "
            "what these would tell is unknown, not well"
        )
    if any(not one.has_ended for one in found):
        lines.append(
            "Modal's own log lags and is kept for a day or some weeks: collect again if it lacks the end"
        )
    return lines

"""Compiled graphs that differ between ranks: calls that part inside compiled code. Pure."""

from collections import Counter

from diagnose.calls import aspect, first_of_each, odd
from diagnose.looks import Look
from diagnose.model import Event, Evidence, Record, named
from diagnose.places import sites
from diagnose.stackframes import frames, paths
from diagnose.waiting import Waiting, ranks


class Parting(Record, frozen=True):
    """Where the graphs part, and whose is the odd one."""

    ranks: list[int]
    text: str
    wait: Waiting
    events: list[Event]


def parting(waits: list[Waiting], look: Look, evidence: Evidence) -> Parting | None:
    """Another operation at one place, called from compiled code.

    The graphs differ where all sides stand in compiled code, or where the odd ranks have compiled another
    number of times than the others.
    """
    stacks = look.last("stack.read")
    compiles = Counter(e.rank for e in evidence.of("phase.started") if e.data.get("phase") == "compile")
    for w in first_of_each(waits):
        calls = w.calls()
        if len(calls) < 2 or aspect(calls) != "op":
            continue
        suspects, _ = odd(calls)
        mine = sorted(m.rank for s in suspects for m in calls[s])
        others = [m.rank for who in calls.values() for m in who if m.rank not in mine]
        inside = {rank for rank in [*mine, *others] if rank in stacks and is_compiled(stacks[rank])}
        counts = {compiles[r] for r in mine}, {compiles[r] for r in others}
        differ = bool(others) and not counts[0] & counts[1]
        if inside and (differ or inside >= {*mine, *others}):
            told = (
                f"{named(ranks(who))} {s.partition('|')[0]}{sites(look, ranks(who))}"
                for s, who in calls.items()
            )
            text = f"compiled graphs part at #{w.seq} of {w.group.title()}: {'; '.join(told)}"
            return Parting(mine, text, w, [stacks[r] for r in [*mine, *others] if r in stacks])
    return None


def is_compiled(stack: Event) -> bool:
    """Whether a stack goes through a compiled graph: Inductor's own file, or the interpreter of one."""
    if any("<eval_with_key>" in path or "torchinductor" in path for path in paths(stack)):
        return True
    return any("compile_wrapper (eval_frame.py" in frame for frame in frames(stack))

"""What ranks say of their calls under TORCH_DISTRIBUTED_DEBUG=DETAIL, and DDP of their models. Pure.

Each names its own and one that differs from it.
"""

import re

from diagnose.model import Event, Evidence

PRINT = re.compile(  # older ones have no number, or nothing between it and the operation
    r"Rank (?P<rank>\d{1,7}) is running collective: CollectiveFingerPrint\("
    r"(?:SequenceNumber=(?P<seq>\d{1,18})(?:, )?)?OpType=(?P<op>[A-Z_]{1,40})"
    r"(?:, TensorShape=\[(?P<shape>[^\]]{0,400})\])?(?:, TensorDtypes=(?P<dtype>[\w, ]{1,200}),)?"
)
MODEL = re.compile(  # zeros are what an aborted gather left, not a model's
    r"Rank (?P<rank>\d{1,7}) has (?P<num>\d{1,9}) params, while rank (?P<other>\d{1,7}) has inconsistent"
    r" (?P<others>[1-9]\d{0,8}) params"
)
Call = tuple[str, str, str]  # operation, shape, dtype


def calls(evidence: Evidence) -> tuple[int, dict[int, Call], list[Event]]:
    """The first place where calls differ: its number, rank -> call by all accounts, and who says so."""
    seen: dict[int, dict[int, Call]] = {}
    events: dict[int, list[Event]] = {}
    for event in evidence.of("exception.raised"):
        if model := MODEL.search(str(event.data.get("message"))):
            for rank, num in ((model["rank"], model["num"]), (model["other"], model["others"])):
                seen.setdefault(0, {})[int(rank)] = ("DDP for a model of", f"{num} parameters", "")
            events.setdefault(0, []).append(event)
        found = list(PRINT.finditer(str(event.data.get("message"))))
        for part in found if len(found) > 1 else ():
            seq, call = (
                int(part["seq"] or 0),
                (part["op"], part["shape"] or "", (part["dtype"] or "").strip()),
            )
            seen.setdefault(seq, {})[int(part["rank"])] = call
            events.setdefault(seq, []).append(event)
    first = min(seen, default=0)
    unique = {id(event): event for event in events.get(first, ())}
    return first, seen.get(first, {}), list(unique.values())


def miscounted(evidence: Evidence) -> list[Event]:
    """Who says that two equal calls differ in DETAIL's own number alone: the calls are not wrong."""
    found = []
    for event in evidence.of("exception.raised"):
        prints = list(PRINT.finditer(str(event.data.get("message"))))
        calls = {(p["op"], p["shape"], p["dtype"]) for p in prints}
        if len(prints) == 2 and len(calls) == 1 and len({p["seq"] for p in prints}) == 2:
            found.append(event)
    return found

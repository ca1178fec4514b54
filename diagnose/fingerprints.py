"""What ranks say of their calls under TORCH_DISTRIBUTED_DEBUG=DETAIL. Pure.

Each names its own call and one that differs from it.
"""

import re

from diagnose.model import Event, Evidence

PRINT = re.compile(  # older ones have no number, or nothing between it and the operation
    r"Rank (?P<rank>\d{1,7}) is running collective: CollectiveFingerPrint\("
    r"(?:SequenceNumber=(?P<seq>\d{1,18})(?:, )?)?OpType=(?P<op>[A-Z_]{1,40})"
    r"(?:, TensorShape=\[(?P<shape>[^\]]{0,400})\])?(?:, TensorDtypes=(?P<dtype>[\w, ]{1,200}),)?"
)
Call = tuple[str, str, str]  # operation, shape, dtype


def calls(evidence: Evidence) -> tuple[int, dict[int, Call], list[Event]]:
    """The first place where calls differ: its number, rank -> call by all accounts, and who says so."""
    seen: dict[int, dict[int, Call]] = {}
    events: dict[int, list[Event]] = {}
    for event in evidence.of("exception.raised"):
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

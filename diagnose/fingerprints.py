"""What ranks say of their calls under TORCH_DISTRIBUTED_DEBUG=DETAIL, and DDP of their models. Pure.

Each names its own and one that differs from it.
"""

import re

from diagnose.model import Event, Evidence

PRINTED = "is running collective: CollectiveFingerPrint("
PRINT = re.compile(  # older ones have no number, or nothing between it and the operation
    r"Rank (?P<rank>\d{1,7}) is running collective: CollectiveFingerPrint\("
    r"(?:SequenceNumber=(?P<seq>\d{1,18})(?:, )?)?OpType=(?P<op>[A-Z_]{1,40})"
    r"(?:, TensorShape=\[(?P<shape>[^\]]{0,400})\])?(?:, TensorDtypes=(?P<dtype>[\w, ]{1,200}),)?"
)
MODEL = re.compile(  # zeros are what an aborted gather left, not a model's
    r"Rank (?P<rank>\d{1,7}) has (?P<num>\d{1,9}) params, while rank (?P<other>\d{1,7}) has inconsistent"
    r" (?P<others>[1-9]\d{0,17}) params"
)
Call = tuple[str, str, str]  # operation, shape, dtype


def calls(evidence: Evidence) -> tuple[int, dict[int, Call], list[Event]]:
    """The first place where calls differ: its number, rank -> call by all accounts, and who says so."""
    seen: dict[int, dict[int, Call]] = {}
    events: dict[int, list[Event]] = {}
    for event in evidence.of("exception.raised", "collective.prints_told"):
        pair = paired(event)
        if model := MODEL.search(str(event.data.get("message"))):
            for rank, num in ((model["rank"], model["num"]), (model["other"], model["others"])):
                seen.setdefault(0, {})[int(rank)] = ("DDP for a model of", f"{num} parameters", "")
            events.setdefault(0, []).append(event)
        place = max((seq for seq, _ in pair.values()), default=0)
        differ = len({call for _, call in pair.values()}) > 1  # else DETAIL's numbers alone do
        for rank, (seq, call) in pair.items():
            at = place if differ else seq
            seen.setdefault(at, {})[rank] = call
            events.setdefault(at, []).append(event)
    first = min(seen, default=0)
    unique = {id(event): event for event in events.get(first, ())}
    return first, seen.get(first, {}), list(unique.values())


def paired(event: Event) -> dict[int, tuple[int, Call]]:
    """The two ranks that one exception compares -> the number and the call of each; empty for another."""
    found = list(PRINT.finditer(str(event.data.get("message"))))
    return {
        int(part["rank"]): (
            int(part["seq"] or 0),
            (part["op"], part["shape"] or "", (part["dtype"] or "").strip()),
        )
        for part in (found if len(found) > 1 else ())
    }


def gone(evidence: Evidence) -> set[int]:
    """Ranks whose print has neither number nor content beside one that has both: they had left."""
    found = set[int]()
    for pair in map(paired, evidence.of("exception.raised")):
        blank = {rank for rank, (seq, call) in pair.items() if not seq and empty(call)}
        if blank and all(
            seq > 1 and not empty(call) for rank, (seq, call) in pair.items() if rank not in blank
        ):
            found |= blank
    return found


def empty(call: Call) -> bool:
    return not call[1] and not call[2] and call[0] != "BARRIER"


def miscounted(evidence: Evidence) -> list[Event]:
    """Who says that two equal calls differ in DETAIL's own number alone: the calls are not wrong."""
    found = []
    for event in evidence.of("exception.raised"):
        prints = list(PRINT.finditer(str(event.data.get("message"))))
        calls = {(p["op"], p["shape"], p["dtype"]) for p in prints}
        if len(prints) == 2 and len(calls) == 1 and len({p["seq"] for p in prints}) == 2:
            found.append(event)
    return found

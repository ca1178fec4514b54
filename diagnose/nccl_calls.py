"""What processes called, by NCCL's own log of its calls: compared where they stand at one count. Pure."""

from diagnose.model import Event, Evidence

Call = tuple[str, str, str]  # operation, elements, type


def calls(evidence: Evidence) -> tuple[int, dict[int, Call], list[Event]]:
    """The first call whose sides differ: its number, rank -> call, and who says so.

    A process that uses several communicators of a size counts in each: then which is which, nothing tells.
    """
    told = [e for e in evidence.of("nccl.call_told") if e.rank is not None]
    used: dict[tuple[int, object], set[object]] = {}
    for event in told:
        used.setdefault((event.rank or 0, event.data.get("num_ranks")), set()).add(event.data.get("comm"))
    seen: dict[tuple[object, int], dict[int, Event]] = {}
    for event in told:
        size, num, rank = event.data.get("num_ranks"), event.data.get("num"), event.rank or 0
        if isinstance(num, int) and len(used[rank, size]) == 1:
            seen.setdefault((size, num), {}).setdefault(rank, event)
    for (_, num), sides in sorted(seen.items(), key=lambda item: item[0][1]):
        found = {rank: call(event) for rank, event in sides.items()}
        if len(set(found.values())) > 1:
            return num, found, list(sides.values())
    return 0, {}, []


def call(event: Event) -> Call:
    told = event.data
    root = f" from {told.get('root')}" if told.get("op") in ("Broadcast", "Reduce") else ""
    return f"{told.get('op')}{root}", str(told.get("count")), f"type {told.get('datatype')}"

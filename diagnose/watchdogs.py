"""What each rank's watchdog says of the collective that it gave up. Pure."""

from diagnose.model import Event, Evidence

EQUAL = {"ALLREDUCE", "BROADCAST", "REDUCE"}  # as many elements on every rank
EQUAL |= {"ALLGATHER", "_ALLGATHER_BASE", "REDUCE_SCATTER", "_REDUCE_SCATTER_BASE"}
Call = tuple[str, str, str]  # operation, elements, nothing


def calls(evidence: Evidence) -> tuple[int, dict[int, Call], list[Event]]:
    """The first place of a group where calls differ: its number, rank -> call, and who says so."""
    seen: dict[tuple[str, int], dict[int, tuple[Call, Event]]] = {}
    for event in evidence.of("nccl.watchdog_timed_out"):
        group, seq, op = event.data.get("group"), event.data.get("seq"), str(event.data.get("op"))
        if event.rank is None or not isinstance(group, str) or not isinstance(seq, int) or op == "COALESCED":
            continue
        size = str(event.data.get("numel_in")) if op in EQUAL else ""
        seen.setdefault((group, seq), {}).setdefault(event.rank, ((op, size, ""), event))
    for (_, seq), told in sorted(seen.items(), key=lambda item: item[0][1]):
        if len({call for call, _ in told.values()}) > 1:
            return (
                seq,
                {rank: call for rank, (call, _) in told.items()},
                [event for _, event in told.values()],
            )
    return 0, {}, []

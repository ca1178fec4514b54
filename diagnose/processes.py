"""Which rank a process is, by what NCCL said: its lines name hosts and pids, some of them ranks. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from diagnose.model import Event

Process = tuple[str, int, int]  # host, pid, device


def named(events: Sequence[Event]) -> list[Event]:
    """The events, with the rank of the process that wrote each line, where it is known and was not told."""
    ranks = ranks_of(events)
    if not ranks:
        return list(events)
    return [
        msgspec.structs.replace(event, rank=ranks[process])
        if event.rank is None and (process := process_of(event)) in ranks
        else event
        for event in events
    ]


def ranks_of(events: Sequence[Event]) -> dict[Process, int]:
    """Process -> its rank, as the largest communicator has it; without those of which two are told."""
    size = max((n for e in events if isinstance(n := e.data.get("num_ranks"), int)), default=0)
    found: dict[Process, set[int]] = {}
    for process, rank in told(events, size):
        found.setdefault(process, set()).add(rank)
    return {process: ranks.pop() for process, ranks in found.items() if len(ranks) == 1}


def told(events: Sequence[Event], size: int) -> Iterator[tuple[Process, int]]:
    for event in events:
        if (process := process_of(event)) is None:
            continue
        rank = event.data.get("comm_rank")
        if event.rank is not None:
            yield process, event.rank
        elif isinstance(rank, int) and event.data.get("num_ranks", size) == size:
            yield process, rank


def process_of(event: Event) -> Process | None:
    host, pid, device = (event.data.get(key) for key in ("host", "pid", "device"))
    if isinstance(host, str) and isinstance(pid, int) and isinstance(device, int):
        return host, pid, device
    return None

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
    known = {process: ranks.pop() for process, ranks in found.items() if len(ranks) == 1}
    return known or on_one_host(events, size)


def on_one_host(events: Sequence[Event], size: int) -> dict[Process, int]:
    """Process -> its device, which is its rank where one host has them all."""
    all_of_it = {process for event in events if (process := process_of(event))}
    devices = {device for _, _, device in all_of_it}
    is_whole = len(all_of_it) == len(devices) == size and len({host for host, _, _ in all_of_it}) == 1
    return {process: process[2] for process in all_of_it} if is_whole and max(devices) < size else {}


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

"""Who is to blame, read off the machine's true state: not off what the recorders saw."""

from collections.abc import Iterable, Iterator

from tests.incidents.machine import Launched, Machine, Place

Ranks = frozenset[int]


def fronts(machine: Machine, rank: int) -> list[Launched]:
    """What a rank's device would do next, or is doing: open, with all predecessors done."""
    return [
        one
        for one in machine.launched[rank]
        if not one.is_done and all(earlier.is_done for earlier in one.after)
    ]


def places_of(machine: Machine, one: Launched) -> Iterator[Place]:
    yield from (machine.places[key] for key in one.keys)


def edges(machine: Machine) -> dict[int, set[int]]:
    """rank -> the ranks whose devices have not begun what it waits in."""
    return {
        rank: {
            other
            for one in fronts(machine, rank)
            for place in places_of(machine, one)
            for other in place.needed - place.started.keys() - {rank}
        }
        for rank in range(len(machine.programs))
    }


def reachable(graph: dict[int, set[int]], start: int) -> Ranks:
    found: set[int] = set()
    waiting = list(graph[start])
    while waiting:
        rank = waiting.pop()
        if rank not in found:
            found.add(rank)
            waiting += graph[rank]
    return frozenset(found)


def circles(machine: Machine) -> list[Ranks]:
    """Sets of ranks that wait for one another, with no wait that leads out of the set."""
    graph = edges(machine)
    reach = {rank: reachable(graph, rank) for rank in graph}
    found = {
        frozenset(other for other in reach[rank] if rank in reach[other])
        for rank in graph
        if rank in reach[rank]
    }
    return [circle for circle in found if all(reach[rank] <= circle for rank in circle)]


def is_idle(machine: Machine) -> bool:
    return all(one.is_done for launched in machine.launched for one in launched)


def is_finished(machine: Machine) -> bool:
    return is_idle(machine) and all(
        at == len(program) for at, program in zip(machine.at, machine.programs, strict=True)
    )


def is_awaited(machine: Machine, rank: int, by: Iterable[int]) -> bool:
    """Whether one of these ranks has launched something that this one has not."""
    return any(
        rank in place.needed and rank not in place.launched
        for other in by
        if other != rank
        for one in machine.launched[other]
        if not one.is_done
        for place in places_of(machine, one)
    )


def lacks_alone(machine: Machine, rank: int, by: Iterable[int]) -> bool:
    """Whether one of these ranks is in something that all others have begun."""
    return any(
        place.needed - place.started.keys() == {rank}
        for other in by
        for one in fronts(machine, other)
        for place in places_of(machine, one)
    )


def is_busy(machine: Machine, rank: int) -> bool:
    """Whether a rank has launched something that is not done."""
    return any(not one.is_done for one in machine.launched[rank])

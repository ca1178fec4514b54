"""What ranks said of one thing, in lines of logs and in exceptions that other files alone tell of. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from diagnose import messages
from diagnose.messages import Pattern
from diagnose.model import Event, Evidence, earliest, named

QUIET = {"rank_hook", "elastic_error"}  # whose exceptions no line of a log shows
Telling = tuple[Event, str, dict[str, object]]


def told(evidence: Evidence, kinds: Collection[str], lines: Sequence[Pattern]) -> Iterator[Telling]:
    """Each event of these kinds, and each exception in whose words one of the lines is: kind and data."""
    yield from ((event, event.kind, event.data) for event in evidence.of(*kinds))
    for event in evidence.of("exception.raised"):
        if event.source in QUIET:
            found = messages.said(f"{event.data.get('type')}: {event.data.get('message')}", lines)
            if found and found[0] in kinds:
                yield event, *found


def by_rank(found: Iterator[Telling]) -> dict[int | None, list[Telling]]:
    """What each rank said; what nobody is known to have said counts only where no rank is."""
    groups: dict[int | None, list[Telling]] = {}
    for each in found:
        groups.setdefault(rank_of(each), []).append(each)
    if len(groups) > 1:
        groups.pop(None, None)
    return groups


def rank_of(told: Telling) -> int | None:
    """The rank that a line is of; the rank in the group of all ranks where its log does not tell."""
    mine = told[2].get("group_rank")
    return told[0].rank if told[0].rank is not None else mine if isinstance(mine, int) else None


def since(found: Sequence[Telling]) -> float | None:
    return earliest(event for event, _, _ in found)


def reporters(events: Iterable[Event], otherwise: str) -> str:
    """Which ranks said it, in words; `otherwise` where none is known."""
    ranks = sorted({event.rank for event in events if event.rank is not None})
    return named(ranks) if ranks else otherwise

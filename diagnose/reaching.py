"""How far the members of a communicator have come, as their dumps tell. Pure.

`pg_status` counts collectives and transfers by one number, so in a group that has both it tells little.
"""

import math
from collections.abc import Iterable, Mapping

from diagnose import histories
from diagnose.model import Event
from diagnose.waiting import ROOTED

Mine = Mapping[int, Event]  # rank -> what it recorded of one group


def overtaken(found: Iterable[Mine]) -> set[int]:
    """Ranks whose dump is older than another's: that one completed what they had not launched.

    So they have got on since. Not where a group was led by a root, nor on gloo, which completes what failed.
    """
    old: set[int] = set()
    for mine in found:
        is_mixed = any(own.data.get("mixed") for own in mine.values())
        fronts = {rank: frontier(own, is_mixed) for rank, own in mine.items() if tells(own, is_mixed)}
        ahead = max(fronts, key=lambda rank: fronts[rank][1], default=None)
        late = [r for r, (launched, _) in fronts.items() if ahead is not None and launched < fronts[ahead][1]]
        if late and ahead is not None:
            done = joint(mine.values(), mine[ahead], fronts[ahead][1])
            old.update(rank for rank in late if fronts[rank][0] < done)
    return old


def joint(group: Iterable[Event], event: Event, done: int) -> int:
    """The newest collective that a rank completed and that nobody completes before all have begun it.

    Where its dump leaves out what is completed, what is open in the group tells what it calls, and yet the
    last one may have been led by a root.
    """
    told = histories.signatures(event)
    if told and min(told) > done:
        calls = {call for one in group for call in histories.signatures(one).values()}
        return -1 if any(map(is_rooted, calls)) else done - 1
    return max((n for n, call in told.items() if n <= done and not is_rooted(call)), default=-1)


def is_rooted(call: str) -> bool:
    return call.partition("|")[0] in ROOTED


def tells(event: Event, is_mixed: bool) -> bool:
    """Whether what one rank recorded of a group shows how far it has come."""
    return event.data.get("basis") not in ({"none", "status"} if is_mixed else {"none"})


def numbers(group: Iterable[Event]) -> tuple[set[int], set[int]]:
    """Where members stand by their entries: the numbers of collectives, and those of transfers."""
    recorded = [own.data for own in group if own.data.get("basis") == "entries"]
    ends = {data.get(key) for data in recorded for key in ("launched", "completed")}
    transfers = {data.get("transferred") for data in recorded} - {0}
    return {n for n in ends if isinstance(n, int)}, {n for n in transfers if isinstance(n, int)}


def by_number(event: Event, collectives: Iterable[int], transfers: Iterable[int]) -> int | None:
    """The last collective of a rank, by the watchdog's word alone, in a group that has transfers too.

    That is the number of the newest operation of either kind: of a collective where it is clearly nearer to
    how far others are than to the number of transfers that a rank may have had by then (the end of a pipeline
    has half as many). None where it is not.
    """
    newest = event.data.get("status_launched")
    if not isinstance(newest, int):
        return None
    near = min((abs(newest - n) for n in collectives), default=math.inf)
    had = (n for most in transfers for n in (most // 2, most, 2 * most))
    return newest if near + 1 < min((abs(newest - n) for n in had), default=math.inf) else None


def frontier(event: Event, is_mixed: bool = False) -> tuple[int, int]:
    """(launched, completed); (0, 0) where nothing tells: `pg_status` counts transfers, if there are any."""
    if is_mixed and event.data.get("basis") == "status":
        return 0, 0
    launched, completed = event.data.get("launched"), event.data.get("completed")
    return (launched if isinstance(launched, int) else 0, completed if isinstance(completed, int) else 0)

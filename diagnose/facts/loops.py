"""A rank that has left the loop in which the others still wait for it: it ran out of data earlier.

Sources: stacks, and what the program's source says of the places on them (the loops around each call).
"""

from collections.abc import Iterable

from diagnose.activity import of_rank
from diagnose.looks import Look, decisive, steps_made
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.places import Place, are_branches, pairs, parting
from diagnose.standing import waits as waits_of
from diagnose.waiting import Waiting, ranks

KINDS = {
    "rank.left_loop": FactKind(
        "stands in a call behind the loop in which the others wait; data: place, others_place, resolved",
        ("agent",),
    ),
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    look = decisive(evidence)
    if look is None:
        return
    places = look.last("stack.placed")
    waits, steps = waits_of(look, evidence), steps_made(evidence)
    for w in waits:
        for rank, event in sorted(places.items()):
            if rank not in {m.rank for m in w.group.members} or not in_call(look, rank, waits):
                continue
            peers = [m.rank for m in w.waiting if m.rank != rank and m.rank in places]
            if any(steps.get(rank, 0) > steps[peer] for peer in peers if peer in steps):
                continue  # who ran out of data made no more steps than those who go on: it left a call out
            left = [(peer, found) for peer in peers if (found := beyond(event, places[peer]))]
            if left and 2 * len(left) > len(peers):
                yield fact(rank, left, w, look, places)
                return


def in_call(look: Look, rank: int, waits: list[Waiting]) -> bool:
    """Whether a rank stands in a collective, too: one that merely works on may come back."""
    waiting = any(rank in ranks(w.waiting) for w in waits)
    activity = of_rank(look, rank, waiting)
    return activity is not None and activity.is_ == "collective"


def beyond(own: Event, other: Event) -> tuple[Place, Place] | None:
    """The frames where `own` is behind a loop that `other` is in; None where it is not."""
    found = parting(own, other)
    if found is None or are_branches(*found):
        return None  # ranks of another role run another part of the program
    line, loops = found[0].get("line"), pairs(found[1].get("loops"))
    return found if isinstance(line, int) and any(loop[-1] < line for loop in loops) else None


def fact(
    rank: int,
    left: list[tuple[int, tuple[Place, Place]]],
    w: Waiting,
    look: Look,
    places: dict[int, Event],
) -> Fact:
    peers = [peer for peer, _ in left]
    mine, theirs = left[0][1]
    text = (
        f"{named([rank])} has left the loop in which {named(peers)} still wait: it is at {mine['frame']}, "
        f"`{mine.get('call')}`, they are at {theirs['frame']}, `{theirs.get('call')}`"
    )
    return Fact(
        kind="rank.left_loop",
        text=text,
        ranks=[rank],
        data={
            "place": mine["frame"],
            "others_place": theirs["frame"],
            "resolved": look.resolved_after_s is not None,
        },
        since=w.since(),
        events=[places[rank], *(places[peer] for peer in peers)],
        inferred=w.inferred,
    )

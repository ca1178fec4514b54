"""Calls that do not agree: at one place of the sequence members called different things.

A strict majority names the odd ranks; without one both sides are named. A gather or a scatter shows who takes
itself for the root. The recorder shows no root of a broadcast or a reduce.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from diagnose.calls import aspect, first_of_each, odd, queued, roots
from diagnose.certifying import Certifier
from diagnose.disagreements import checked, said
from diagnose.looks import Look, decisive, left, looks, steps_made
from diagnose.losses import AFTER
from diagnose.meeting import met, sides
from diagnose.model import Evidence, Fact, FactKind, named
from diagnose.places import are_choices, parting, sites
from diagnose.waitgraph import stuck
from diagnose.waiting import Member, Waiting, ranks

NEEDS = ("flight_recorder",)
KINDS = {
    "collective.mismatched": FactKind(
        "members launched different collectives at one place; data: aspect (op, size, dtype, root), majority",
        NEEDS,
    ),
    "collective.skipped": FactKind(
        "a rank left out a collective: its later ones pair with others' earlier", NEEDS
    ),
}
RINGS = {"all_reduce", "allreduce", "all_gather", "allgather"}
BACK = 256  # how many earlier collectives tell what usually follows what


def derive(evidence: Evidence) -> Iterable[Fact]:
    told = list(checked(evidence))  # with DETAIL the recorder is full of its checks
    yield from told or list(recorded(evidence)) or said(evidence)


def recorded(evidence: Evidence) -> Iterable[Fact]:
    best = decisive(evidence)
    own = left(evidence)
    crashed = [look for look in looks(evidence) if look.cause == "crashed"]
    first = [own] if own else crashed  # as close to the failure as can be
    is_clear = best is not None and best.cause not in AFTER and best.resolved_after_s is None
    for look in [best, *first] if is_clear else [*first, best]:
        if look is None:
            continue
        waits = stuck(look, evidence)
        found = [
            fact for w in (*first_of_each(waits), *queued(waits)) for fact in mismatch(w, look, evidence)
        ]
        found += unequal(waits, look)
        if found:
            yield from found
            return
        if look is not own:  # there who left no dump may as well have been in it
            yield from ahead(waits, look, evidence)


def mismatch(w: Waiting, look: Look, evidence: Evidence) -> Iterable[Fact]:
    calls = w.calls()
    if len(calls) > 1:
        yield from differing(w, calls, look, len(aborted_in(w, evidence)))
    elif claims := roots(w):
        yield other_root(w, claims, look)
    elif len(calls) == 1:
        yield from aborted(w, *next(iter(calls.items())), look, evidence)


def unequal(waits: Sequence[Waiting], look: Look) -> Iterable[Fact]:
    """Sends that do not fit the receive that they meet: the two sides alone tell, so both are named."""
    for w, other in met(waits):
        if len(told := sides(w, other)) > 1:
            words = (f"{named(ranks(who))} {what.replace('|', ' ')}" for what, who in told.items())
            members = [*w.waiting, other]
            yield Fact(
                kind="collective.mismatched",
                text=f"the sides of {w.place()} differ: {'; '.join(words)}",
                ranks=sorted(ranks(members)),
                data={**w.data(look), "aspect": aspect(f"|{what}" for what in told), "majority": False},
                since=w.since(),
                events=[m.event for m in members if m.event],
            )


def statement(
    kind: str, w: Waiting, members: Sequence[Member], look: Look, text: str, **data: object
) -> Fact:
    return Fact(
        kind=kind,
        text=f"at #{w.seq} of {w.group.title()} {text}",
        ranks=sorted(ranks(members)),
        data={**w.data(look), **data, "certificate": Certifier([], look).differs(w)},
        since=w.since(),
        events=[m.event for m in [*members, *w.group.members] if m.event],
    )


def differing(w: Waiting, calls: dict[str, list[Member]], look: Look, unseen: int) -> Iterable[Fact]:
    suspects, majority = odd(calls, unseen)
    peers = [who[0] for s, who in calls.items() if s not in suspects or not majority]
    behind = [
        s
        for s in suspects
        if any(left_out(calls[s][0], w.seq, peer) for peer in peers)
        or (majority and is_elsewhere(calls[s][0].rank, peers[0].rank, look))
    ]
    if len(behind) == len(calls):
        behind = []
    skipped = [m for s in behind for m in calls[s]]
    wrong = [m for s in suspects if s not in behind and (majority or not behind) for m in calls[s]]
    sides = (
        f"{named(ranks(who))} called {what.replace('|', ' ').strip()}{sites(look, ranks(who))}"
        for what, who in calls.items()
    )
    text = "; ".join(sides)
    for kind, members in (("collective.skipped", skipped), ("collective.mismatched", wrong)):
        if members:
            yield statement(kind, w, members, look, text, aspect=aspect(calls), majority=majority)


def left_out(odd: Member, seq: int, peer: Member) -> bool:
    """Whether the odd rank's call is the one that used to follow the peer's call: it is one ahead.

    Not where it is what used to come here, and the peer's is not: then that was added. Nor where both agree
    in the next call: one ahead would be ahead there too.
    """
    mine, usual = odd.signature(seq), peer.signature(seq)
    before = [peer.signature(s) for s in range(max(1, seq - BACK), seq)]
    if mine == usual or not before:
        return False
    following = defaultdict[str | None, set[str | None]](set)
    for call, after in pairwise(before):
        following[call].add(after)
    was_added = mine in following[before[-1]] and usual not in following[before[-1]]
    after = peer.signature(seq + 1)
    agree_again = after is not None and after == odd.signature(seq + 1) and after not in following[mine]
    if was_added or agree_again:
        return False
    for i in range(len(before) - 2, -1, -1):
        if before[i] == usual and (i == 0 or before[i - 1] == before[-1]):
            return before[i + 1] == mine
    return False


def is_elsewhere(rank: int, peer: int, look: Look) -> bool:
    """Whether a rank stands at another place of the same path: it left out the peer's call, or added its own.

    Not where the two are choices: then it took the other branch, and made another call in its stead.
    """
    placed = look.last("stack.placed")
    found = parting(placed[rank], placed[peer]) if rank in placed and peer in placed else None
    return found is not None and not are_choices(*found)


def other_root(w: Waiting, claims: list[Member], look: Look) -> Fact:
    """Several roots: the one that was always the root is right, where there is one."""
    op = w.op()
    before: Counter[int] = Counter()
    for member in w.group.members:
        for row in member.rows():
            if row[0] != w.seq and len(row) > 7 and row[7] is True and str(row[1]).startswith(f"{op}|"):
                before[member.rank] += 1
    known = [m for m in claims if before[m.rank]]
    wrong = [m for m in claims if m.rank != known[0].rank] if len(known) == 1 else claims
    text = f"{named(ranks(claims))} each take themselves for the root of {op}{sites(look, ranks(claims))}"
    if len(known) == 1:
        text += f"; {named(ranks(known))} was the root of the {before[known[0].rank]} before"
    return statement("collective.mismatched", w, wrong, look, text, aspect="root", majority=len(known) == 1)


def aborted(w: Waiting, call: str, agreed: list[Member], look: Look, evidence: Evidence) -> Iterable[Fact]:
    """A rank that a message of another size ended, while all that is left of the others agrees.

    Where sizes may differ in health (all_to_all) that clears nobody: the sender may be the one that is wrong.
    So may a rank that was not heard, unless the message must have come from one that was.
    """
    gone = aborted_in(w, evidence)
    if not gone:
        return
    is_sized = call.split("|")[1:2] not in ([""], [])
    heard = {*ranks(agreed), *ranks(gone)}
    is_whole = all(m.rank in heard for m in w.group.members)
    is_clear = is_sized and (is_whole or (is_ring(call) and beside(gone, w) <= set(ranks(agreed))))
    agree = "agree" if len(agreed) > 1 else "is alone to tell what it called"
    if not is_sized:
        agree = f"called {call.split('|')[0]}, whose sizes may differ"
    text = f"{named(ranks(agreed))} {agree}, and {named(ranks(gone))} was ended by a message of another size"
    is_odd = is_clear and len(agreed) > len(gone)
    wrong = gone if is_odd else [*gone, *agreed] if is_whole else []
    majority = is_odd and 2 * len(agreed) > len(w.group.members)
    yield statement("collective.mismatched", w, wrong, look, text, aspect="size", majority=majority)


def is_ring(call: str) -> bool:
    """Whether gloo passes this along a ring: each member receives from those beside it alone."""
    return call.split("|")[0].removeprefix("gloo:") in RINGS


def beside(members: Iterable[Member], w: Waiting) -> set[int]:
    """The ranks right before and after `members` in their group."""
    order = ranks(w.group.members)
    places = [order.index(m.rank) for m in members]
    return {order[(at + step) % len(order)] for at in places for step in (-1, 1)}


def aborted_in(w: Waiting, evidence: Evidence) -> list[Member]:
    told = {e.rank for e in evidence.of("gloo.size_mismatched")}
    return [m for m in w.awaited if m.launched < 0 and m.rank in told]


def ahead(waits: Sequence[Waiting], look: Look, evidence: Evidence) -> Iterable[Fact]:
    """An awaited rank whose step count is past the others' has left one out and gone on."""
    steps = steps_made(evidence)
    blocked = {rank for w in waits for rank in ranks(w.waiting)}
    for w in waits:
        theirs = max((steps.get(m.rank, 0) for m in w.waiting), default=0)
        roots = [m for m in w.awaited if m.rank not in blocked and not m.moved]
        past = [m for m in roots if theirs and steps.get(m.rank, 0) > theirs]
        if past:
            who = named(ranks(past))
            yield Fact(
                kind="collective.skipped",
                text=f"{who} past step {theirs}, where the others wait, with fewer collectives",
                ranks=ranks(past),
                data={
                    **w.data(look),
                    "aspect": "op",
                    "majority": True,
                    "certificate": Certifier(waits, look).awaited(w, past),
                },
                since=w.since(),
                events=[m.event for m in past if m.event] or w.events(),
            )

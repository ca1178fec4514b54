"""Who waits for whom in which collective, and who waits for nobody: the roots of the wait-for graph.

A root is awaited or behind, and waits for nobody. Where all members arrived, their signatures tell a
mismatch from a transport that does not deliver.
"""

from collections import Counter
from collections.abc import Iterable

from diagnose.looks import decisive
from diagnose.model import Evidence, Fact, FactKind, named
from diagnose.waitgraph import Member, Waiting, ranks, stuck

NEEDS = ("flight_recorder",)
KINDS = {
    "collective.waited": FactKind(
        "ranks wait in a collective; data: group, op, seq, waiting, awaited, behind", NEEDS
    ),
    "collective.awaited": FactKind("a root: never launched the collective that the others wait in", NEEDS),
    "collective.behind": FactKind("a root: launched it, and did not complete it as the others did", NEEDS),
    "collective.arrived": FactKind("every member launched the same collective, and none completed it", NEEDS),
    "collective.mismatched": FactKind(
        "members launched different collectives at one place; data: aspect", NEEDS
    ),
    "collective.skipped": FactKind(
        "a rank left out a collective: its later ones pair with others' earlier", NEEDS
    ),
}


AFTER = ("raised", "died", "ended")  # gloo calls a collective that failed retired: its rank looks ahead


def derive(evidence: Evidence) -> Iterable[Fact]:
    look = decisive(evidence)
    if look is None:
        return
    waits = stuck(look, evidence)
    blocked = {rank for w in waits for rank in ranks(w.waiting)}
    resolved = look.resolved_after_s is not None
    for w in waits:
        yield waited(w, resolved)
        roots = [m for m in w.awaited if m.rank not in blocked and not m.moved]
        if roots:
            yield root(
                "collective.awaited", w, roots, resolved, "has not launched it", "have not launched it"
            )
        late = (
            []
            if look.cause in AFTER
            else [
                m
                for m in w.behind
                if not any(m.rank in {x.rank for x in v.waiting} for v in waits if v is not w)
            ]
        )
        if late:
            yield root(
                "collective.behind",
                w,
                late,
                resolved,
                "launched it, not completed",
                "launched it, not completed",
            )
        if not w.awaited and not w.behind and not elsewhere(w, waits):
            yield from arrived(w, resolved)
        yield from ahead(w, roots, evidence, resolved)


def elsewhere(w: Waiting, waits: list[Waiting]) -> bool:
    """Whether a member also waits in another communicator: what holds that one up may hold up this one."""
    return any(set(ranks(w.waiting)) & set(ranks(v.waiting)) for v in waits if v.group is not w.group)


def said(w: Waiting) -> str:
    mine = ranks(w.waiting)
    return f"{named(mine)} wait{'' if len(mine) > 1 else 's'} in {w.place()}"


def waited(w: Waiting, resolved: bool) -> Fact:
    mine = ranks(w.waiting)
    rows = [row for m in w.waiting if (row := m.entry(w.seq)) is not None]
    since = [float(row[2]) for row in rows if len(row) > 2 and isinstance(row[2], int | float)]
    limits = [
        float(row[4]) for row in rows if len(row) > 4 and isinstance(row[4], int | float) and row[4] > 0
    ]
    missing = ranks(w.awaited)
    tail = f", {named(missing)} missing" if missing else ""
    return Fact(
        kind="collective.waited",
        text=said(w) + tail,
        ranks=mine,
        data={
            "group": w.group.title(),
            "op": w.op(),
            "seq": w.seq,
            "waiting": list(mine),
            "awaited": list(missing),
            "behind": ranks(w.behind),
            "resolved": resolved,
            "timeout_s": min(limits, default=None),
        },
        since=min(since, default=None),
        events=[m.event for m in w.waiting if m.event],
    )


def root(kind: str, w: Waiting, roots: list[Member], resolved: bool, one: str, many: str) -> Fact:
    mine = ranks(roots)
    silent = [m.rank for m in roots if m.event is None and m.launched < 0]
    head = waited(w, resolved)
    note = f"; no dump of {named(silent)}" if silent else ""
    return Fact(
        kind=kind,
        text=f"{named(mine)} {one if len(mine) == 1 else many}: {said(w)}{note}",
        ranks=mine,
        data={**head.data, "dumped": not silent},
        since=head.since,
        events=[m.event for m in roots if m.event] or head.events,
    )


ASPECTS = ("op", "size", "dtype")


def arrived(w: Waiting, resolved: bool) -> Iterable[Fact]:
    """All launched and none completed: their signatures agree, or a strict majority names the odd ones."""
    head = waited(w, resolved)
    kinds = Counter(s for m in w.waiting if (s := m.signature(w.seq)))
    if len(kinds) < 2:
        yield Fact(
            kind="collective.arrived",
            text=f"every member launched {w.place()}, and none completed it",
            ranks=head.ranks,
            data=head.data,
            since=head.since,
            events=head.events,
        )
        return
    (usual, votes), *_ = kinds.most_common()
    majority = votes * 2 > sum(kinds.values())
    odd = [m for m in w.waiting if majority and m.signature(w.seq) != usual]
    suspects = odd or w.waiting
    skipped = [m for m in odd if left_out(m, w, usual)]
    aspect = next((a for i, a in enumerate(ASPECTS) if len({part(s, i) for s in kinds}) > 1), "op")
    sides = (
        (named(ranks(m for m in w.waiting if m.signature(w.seq) == s)), s.replace("|", " ")) for s in kinds
    )
    described = ", ".join(f"{who} called {what}" for who, what in sides)
    for kind, members in (
        ("collective.skipped", skipped),
        ("collective.mismatched", [m for m in suspects if m not in skipped]),
    ):
        if members:
            yield Fact(
                kind=kind,
                text=f"at #{w.seq} of {w.group.title()} {described}",
                ranks=ranks(members),
                data={**head.data, "aspect": aspect, "majority": majority},
                since=head.since,
                events=[m.event for m in [*members, *w.waiting] if m.event],
            )


def part(signature: str, index: int) -> str:
    parts = signature.split("|")
    return parts[index] if index < len(parts) else ""


def left_out(odd: Member, w: Waiting, usual: str) -> bool:
    """Whether the odd rank's collective is the one that used to follow the usual one: it is one ahead."""
    mine = odd.signature(w.seq)
    peer = next(m for m in w.waiting if m.signature(w.seq) == usual)
    before = [peer.signature(seq) for seq in range(max(1, w.seq - 256), w.seq)]
    for i in range(len(before) - 2, -1, -1):
        if before[i] == usual and (i == 0 or before[i - 1] == before[-1]):
            return before[i + 1] == mine
    return False


def ahead(w: Waiting, roots: list[Member], evidence: Evidence, resolved: bool) -> Iterable[Fact]:
    """An awaited rank whose step count is past the others' has left one out and gone on."""
    steps: dict[int, int] = {}
    for event in evidence.of("rank.sampled"):
        count = event.data.get("num_steps")
        if event.rank is not None and isinstance(count, int):
            steps[event.rank] = count
    theirs = max((steps.get(m.rank, 0) for m in w.waiting), default=0)
    past = [m for m in roots if theirs and steps.get(m.rank, 0) > theirs]
    if past:
        head = waited(w, resolved)
        yield Fact(
            kind="collective.skipped",
            text=f"{named(ranks(past))} past step {theirs}, where the others wait, with fewer collectives",
            ranks=ranks(past),
            data={**head.data, "aspect": "op", "majority": True},
            since=head.since,
            events=[m.event for m in past if m.event] or head.events,
        )

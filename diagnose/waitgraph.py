"""The wait-for graph over communicators: frontiers in, who waits for whom out. Pure.

Source: flight recorder dumps. Each member of a communicator has a launch frontier (the last collective it
launched) and a completion frontier (everything up to it is done). A rank with launched > completed waits.
Members that have not launched what it waits for are awaited. Where some completed it, all have launched it:
the waiting one is behind. A rank that moved between two scans is no part of a hang.
What the recorder does not see (gloo's send, recv and monitored barrier) is read from the stacks.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence

import msgspec

from diagnose.activity import may_be_work, of_rank
from diagnose.circles import waiters
from diagnose.communicators import groups, newest
from diagnose.heads import heads, of_wait
from diagnose.joining import joining
from diagnose.looks import Look
from diagnose.losses import is_after
from diagnose.model import Evidence
from diagnose.rendezvous import INIT
from diagnose.transfers import transfers
from diagnose.waiting import ROOTED, Group, Member, Waiting


def wait_for(found: Iterable[Group]) -> list[Waiting]:
    """One Waiting for each (group, collective) that somebody is stuck in."""
    waits = []
    for group in found:
        pending: dict[int, list[Member]] = {}
        for member in group.members:
            if member.launched > member.completed and not member.moved:
                pending.setdefault(member.completed + 1, []).append(member)
        for seq, waiting in sorted(pending.items()):
            absent = lacking(group, seq, len(waiting))
            w = Waiting(group, seq, waiting, absent, [])
            if has_completed(w) and (group.in_order or not absent):
                w = Waiting(group, seq, waiting, [], waiting)  # gloo calls done what failed, too
            waits.append(w)
    return waits


def has_completed(w: Waiting) -> bool:
    """Whether a member completed it, and nobody completes that call before all have begun it."""
    if w.op() in ROOTED:
        return False
    done = (m for m in w.group.members if m.completed >= w.seq)
    return any((m.signature(w.seq) or "").partition("|")[0] not in ROOTED for m in done)


def lacking(group: Group, seq: int, num_waiting: int) -> list[Member]:
    """Members that have not launched a collective.

    Those whose dumps do not tell may as well have completed it, unless more wait than do not tell.
    """
    absent = [m for m in group.members if m.launched < seq]
    num_unknown = sum(not m.known for m in absent)
    return absent if num_unknown < num_waiting else [m for m in absent if m.known]


def ordered(waits: Sequence[Waiting], unknown: Container[int]) -> list[Waiting]:
    """The waits with their heads, and who is behind. `unknown`: ranks of which no dump tells a head."""
    next_up = heads(waits, unknown)
    is_timed = any(m.has_started(0) for w in waits for m in w.waiting)  # a setting of the whole job
    found = [not_begun(msgspec.structs.replace(w, heads=of_wait(w, next_up)), is_timed) for w in waits]
    return [untold(w, found) for w in found]


def not_begun(w: Waiting, is_timed: bool) -> Waiting:
    """Where all that were heard are there, those are behind whose device has not begun it, though it is next.

    `is_timed`: starts are recorded.
    """
    heard = [m for m in w.group.members if m.launched >= 0]
    if (
        not (is_timed and w.group.in_order)
        or w.group.is_pair
        or len(heard) != len(w.waiting)
        or len(w.calls()) > 1
    ):
        return w
    late = [m for m in w.waiting if m.rank in w.heads and not m.has_started(w.seq)]
    return msgspec.structs.replace(w, behind=late, awaited=[]) if late else w


def untold(w: Waiting, waits: Sequence[Waiting]) -> Waiting:
    """Where no dump of the others shows an operation, and all of them wait for those in it, these are behind.

    Either the others have completed it, or these alone have called it.
    """
    others = {m.rank for m in w.group.members} - w.heads
    unknown = [m for m in w.group.members if not m.known]
    if not (w.group.in_order and w.heads and unknown) or w.awaited or w.behind:
        return w
    late = [m for m in w.waiting if m.rank in w.heads]
    return msgspec.structs.replace(w, behind=late) if others <= waiters(waits, w.heads) else w


def by_stacks(look: Look, evidence: Evidence) -> list[Waiting]:
    """A wait that the dumps there are do not show: some stand in a call of the library, some elsewhere."""
    if is_after(look, evidence) or not look.last("flight.read", "flight.group_read"):
        return []
    doing = {rank: a for rank in evidence.ranks if (a := of_rank(look, rank, False)) and a.is_ != "unknown"}
    inside = {rank: a for rank, a in doing.items() if a.is_ == "collective" and a.moving is not True}
    if not inside or not all(rank in doing for rank in range(evidence.num_ranks or 0)):
        return []
    call = Counter(a.frame.partition(" ")[0] for a in inside.values()).most_common(1)[0][0]
    group = Group(
        name="", desc="", members=[Member(r, 0, 0, event=a.event) for r, a in sorted(doing.items())]
    )
    waiting = [m for m in group.members if m.rank in inside]
    known = [r for r, a in doing.items() if r not in inside and not may_be_work(look, r, a)]
    return [Waiting(group, 0, waiting, [m for m in group.members if m.rank in known], [], call)]


def stuck(look: Look | None, evidence: Evidence) -> list[Waiting]:
    """Who waits in what, at a look."""
    if look is None:
        return []
    found = groups(look, evidence)
    waits = wait_for([*found, *rendezvous(look, evidence)])
    dumps = newest(look)
    return ordered([*waits, *transfers(found, dumps)], dumps.overfull()) or by_stacks(look, evidence)


def rendezvous(look: Look, evidence: Evidence) -> list[Group]:
    """The rendezvous as a group of its own: those inside wait in it for those who never began."""
    found = joining(look, evidence)
    if found is None:
        return []
    members = [Member(rank, found.num - 1, found.num - 1) for rank in found.absent]
    for rank, event in sorted(found.inside.items()):
        row = [found.num, INIT, event.time, False, event.data.get("timeout_s")]
        told = msgspec.structs.replace(event, data={"entries": [row]})
        members.append(Member(rank, found.num, found.num - 1, event=told))
    return [Group(name=INIT, desc="rendezvous", members=members)]

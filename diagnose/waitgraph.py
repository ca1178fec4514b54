"""The wait-for graph over communicators: frontiers in, who waits for whom out. Pure.

Source: flight recorder dumps. Each member of a communicator has a launch frontier (the last collective it
launched) and a completion frontier (everything up to it is done). A rank with launched > completed waits.
Members that have not launched what it waits for are awaited; where all have launched and some completed,
the waiting one is behind. A value that moved between two scans is no part of a hang.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from diagnose.joining import joining
from diagnose.looks import Look
from diagnose.model import Event, Evidence, Record
from diagnose.rendezvous import INIT


class Member(Record, frozen=True):
    """One rank's place in one communicator. `launched` is -1 where the rank left no dump."""

    rank: int
    launched: int
    completed: int
    moved: bool = False  # between the two scans
    event: Event | None = None

    def entry(self, seq: int) -> list[object] | None:
        """`[seq, signature, created_s, retired, timeout_s]` of one collective, if still recorded."""
        entries = self.event.data.get("entries") if self.event else None
        rows = entries if isinstance(entries, list) else []
        return next((row for row in rows if isinstance(row, list) and row and row[0] == seq), None)

    def signature(self, seq: int) -> str | None:
        row = self.entry(seq)
        return str(row[1]) if row and len(row) > 1 else None


class Group(Record, frozen=True):
    name: str
    desc: str
    members: list[Member]

    def title(self) -> str:
        return self.desc if self.desc and self.desc != "undefined" else f"group {self.name or '0'}"


class Waiting(Record, frozen=True):
    """The ranks of one group that wait for its collective `seq`."""

    group: Group
    seq: int
    waiting: list[Member]
    awaited: list[Member]
    behind: list[Member]

    def op(self) -> str:
        signatures = Counter(s for m in self.waiting if (s := m.signature(self.seq)))
        return signatures.most_common(1)[0][0].split("|")[0] if signatures else "collective"

    def place(self) -> str:
        """`all_reduce #12 (default_pg)`."""
        return f"{self.op()} #{self.seq} ({self.group.title()})"


def groups(look: Look, evidence: Evidence) -> list[Group]:
    """Every communicator of a look with its members' frontiers.

    Membership is the hook's word (`group.created`), else the dump's, else the ranks that record under the
    name; the default group has every rank.
    """
    newest: dict[tuple[str, int], Event] = {}
    moved: set[tuple[str, int]] = set()
    for scan in look.scans:
        for event in scan:
            if event.kind != "flight.group_read" or event.rank is None:
                continue
            key = (str(event.data.get("group", "")), event.rank)
            before = newest.get(key)
            if before is not None and frontier(before) != frontier(event):
                moved.add(key)
            newest[key] = event
    created = {
        (str(e.data.get("group", "")), str(e.data.get("desc", ""))): e for e in evidence.of("group.created")
    }
    dumped = set(look.last("flight.read", "flight.group_read"))
    gave_up = {e.rank for e in evidence.events if e.rank is not None and is_timeout(e)}
    found = []
    for name in sorted({group for group, _ in newest}):
        mine = {rank: last for (group, rank), last in newest.items() if group == name}
        first = next(iter(mine.values()))
        desc = str(first.data.get("desc", ""))
        places = []
        for rank in membership(name, desc, first, created, set(mine), evidence):
            own = mine.get(rank)
            launched, completed = frontier(own) if own else ((0, 0) if rank in dumped else (-1, -1))
            places.append(Member(rank, launched, completed, (name, rank) in moved, own))
        found.append(Group(name=name, desc=desc, members=[undone(m, places, look, gave_up) for m in places]))
    return found


def undone(member: Member, members: list[Member], look: Look, gave_up: set[int]) -> Member:
    """A member whose last collective failed while others had not launched it: gloo retires that one too."""
    is_late = (
        look.cause in {"raised", "died"} and member.rank in gave_up and member.launched == member.completed
    )
    if is_late and any(other.launched < member.launched for other in members):
        return msgspec.structs.replace(member, completed=member.launched - 1)
    return member


def is_timeout(event: Event) -> bool:
    """Whether a rank says that its collective timed out."""
    raised = event.kind == "exception.raised" and "imed out waiting" in str(event.data.get("message"))
    return raised or event.kind in {"gloo.timed_out", "nccl.watchdog_timed_out"}


def membership(
    name: str,
    desc: str,
    event: Event,
    created: dict[tuple[str, str], Event],
    seen: set[int],
    evidence: Evidence,
) -> list[int]:
    told = created.get((name, desc)) or next((e for (n, _), e in created.items() if n == name), None)
    ranks = told.data.get("ranks") if told else event.data.get("ranks")
    if isinstance(ranks, list) and ranks:
        return sorted({int(rank) for rank in ranks if isinstance(rank, int)} | seen)
    if desc == "default_pg" or len({e.data.get("group") for e in evidence.of("flight.group_read")}) == 1:
        return sorted(seen | set(evidence.ranks) | set(range(min(evidence.num_ranks or 0, 1 << 17))))
    return sorted(seen)


def frontier(event: Event) -> tuple[int, int]:
    launched, completed = event.data.get("launched"), event.data.get("completed")
    return (launched if isinstance(launched, int) else 0, completed if isinstance(completed, int) else 0)


def wait_for(found: Iterable[Group]) -> list[Waiting]:
    """One Waiting for each (group, collective) that somebody is stuck in."""
    waits = []
    for group in found:
        pending: dict[int, list[Member]] = {}
        for member in group.members:
            if member.launched > member.completed and not member.moved:
                pending.setdefault(member.completed + 1, []).append(member)
        for seq, waiting in sorted(pending.items()):
            absent = [m for m in group.members if m.launched < seq]
            done = any(m.completed >= seq for m in group.members)
            waits.append(
                Waiting(
                    group=group,
                    seq=seq,
                    waiting=waiting,
                    awaited=absent,
                    behind=waiting if done and not absent else [],
                )
            )
    return waits


def ranks(members: Iterable[Member]) -> list[int]:
    return [member.rank for member in members]


def stuck(look: Look | None, evidence: Evidence) -> list[Waiting]:
    """Who waits in what, at a look."""
    return wait_for([*groups(look, evidence), *rendezvous(look, evidence)]) if look else []


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

"""The wait-for graph over communicators: frontiers in, who waits for whom out. Pure.

Source: flight recorder dumps. Each member of a communicator has a launch frontier (the last collective it
launched) and a completion frontier (everything up to it is done). A rank with launched > completed waits.
Members that have not launched what it waits for are awaited; where all have launched and some completed,
the waiting one is behind. A value that moved between two scans is no part of a hang.
What the recorder does not see (gloo's send, recv and monitored barrier) is read from the stacks.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from diagnose import histories
from diagnose.activity import may_be_work, of_rank
from diagnose.joining import joining
from diagnose.looks import Look
from diagnose.losses import is_after, is_loss, later, retires
from diagnose.model import Event, Evidence, Record, named
from diagnose.rendezvous import INIT

ROOTED = {"broadcast", "reduce", "gather", "scatter"}  # members may be done before others have begun


class Member(Record, frozen=True):
    """One rank's place in one communicator. `launched` is -1 where the rank left no dump."""

    rank: int
    launched: int
    completed: int
    moved: bool = False  # between the two scans
    event: Event | None = None

    def rows(self) -> list[list[object]]:
        entries = self.event.data.get("entries") if self.event else None
        found = entries if isinstance(entries, list) else []
        return [row for row in found if isinstance(row, list) and row]

    def entry(self, seq: int) -> list[object] | None:
        """One collective, if still recorded: a row as the source has it."""
        return next((row for row in self.rows() if row[0] == seq), None)

    def signature(self, seq: int) -> str | None:
        return histories.signature(self.event, seq) if self.event else None

    def is_root(self, seq: int) -> bool:
        """Whether it takes itself for the root of a collective, where that shows."""
        row = self.entry(seq)
        return bool(row and len(row) > 7 and row[7] is True)


class Group(Record, frozen=True):
    name: str
    desc: str
    members: list[Member]
    is_whole: bool = True  # False: only those members are known that recorded something

    def title(self) -> str:
        return self.desc if self.desc and self.desc != "undefined" else f"group {self.name or '0'}"


class Waiting(Record, frozen=True):
    """The ranks of one group that wait for its collective `seq` (0: the stacks alone show the wait)."""

    group: Group
    seq: int
    waiting: list[Member]
    awaited: list[Member]
    behind: list[Member]
    call: str = ""  # what they stand in, where the stacks alone show it
    site: str = ""  # the program's frame that they stand at
    inferred: bool = False  # no dump at all bears it out

    def op(self) -> str:
        signatures = Counter(s for m in self.waiting if (s := m.signature(self.seq)))
        return signatures.most_common(1)[0][0].split("|")[0] if signatures else self.call or "collective"

    def place(self) -> str:
        """`all_reduce #12 (default_pg)`."""
        if self.seq:
            return f"{self.op()} #{self.seq} ({self.group.title()})"
        return f"{self.op()} at {self.site}" if self.site else self.op()

    def calls(self) -> dict[str, list[Member]]:
        """What each member called at this place: signature -> members, where recorded."""
        found: dict[str, list[Member]] = {}
        for member in self.group.members:
            if (signature := member.signature(self.seq)) is not None:
                found.setdefault(signature, []).append(member)
        return found

    def is_all_there(self) -> bool:
        """Whether every member waits in it with an equal call: nothing of theirs is in the way."""
        claims = sum(m.is_root(self.seq) for m in self.waiting)
        everybody = self.group.is_whole and len(self.waiting) == len(self.group.members)
        return self.seq > 0 and everybody and len(self.calls()) < 2 > claims

    def said(self) -> str:
        mine = ranks(self.waiting)
        return f"{named(mine)} wait{'' if len(mine) > 1 else 's'} in {self.place()}"

    def since(self) -> float | None:
        made = [row[2] for m in self.waiting if (row := m.entry(self.seq)) is not None and len(row) > 2]
        return min((float(t) for t in made if isinstance(t, int | float)), default=None)

    def data(self, look: Look) -> dict[str, object]:
        """What every fact about a wait says."""
        rows = [row for m in self.waiting if (row := m.entry(self.seq)) is not None and len(row) > 4]
        limits = [float(row[4]) for row in rows if isinstance(row[4], int | float) and row[4] > 0]
        return {
            "group": self.group.title() if self.seq else "",
            "op": self.op(),
            "seq": self.seq or None,
            "waiting": ranks(self.waiting),
            "awaited": ranks(self.awaited),
            "behind": ranks(self.behind),
            "resolved": look.resolved_after_s is not None,
            "timeout_s": min(limits, default=None),
        }

    def events(self) -> list[Event]:
        return [m.event for m in self.waiting if m.event]


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
    created = creations(evidence)
    dumped = set(look.last("flight.read", "flight.group_read"))
    lost = failed(look, evidence, newest)
    found = []
    for name in sorted({group for group, _ in newest}):
        mine = {rank: last for (group, rank), last in newest.items() if group == name}
        first = next(iter(mine.values()))
        told = creation(name, first, created)
        desc = str((told or first).data.get("desc", ""))
        places = []
        everybody = membership(desc, first, told, set(mine), evidence)
        front = max(frontier(own)[0] for own in mine.values())
        done = max((frontier(own)[1] for r, own in mine.items() if (name, r) not in lost), default=-1)
        for rank in everybody or sorted(mine):
            own = mine.get(rank)
            launched, completed = frontier(own) if own else ((0, 0) if rank in dumped else (-1, -1))
            did_fail = (name, rank) in lost and launched > done
            did_fail = did_fail and (look.cause != "foreign" or launched == front)
            if did_fail:
                completed = min(completed, launched - 1)
            places.append(Member(rank, launched, completed, (name, rank) in moved and not did_fail, own))
        found.append(Group(name=name, desc=desc, members=places, is_whole=bool(everybody)))
    return found


def failed(look: Look, evidence: Evidence, newest: dict[tuple[str, int], Event]) -> set[tuple[str, int]]:
    """(group, rank) whose newest collective failed before the look was over: gloo retires that one too.

    Foreign dumps have no such time: there a rank behind the others may have failed long after.
    """
    if not (is_after(look, evidence) and retires(evidence)):
        return set()
    told = {e.rank for e in evidence.events if is_loss(e) and not later(e, look)}
    if look.cause == "crashed" and any(evidence.of("gloo.size_mismatched")):
        told |= {rank for _, rank in newest}  # it ended what all were in; they had no time to say so
    last: dict[int, tuple[float, str]] = {}
    for (name, rank), event in newest.items():
        rows = Member(rank, 0, 0, event=event).rows()
        made = rows[-1][2] if rows and len(rows[-1]) > 2 else None
        if rank in told and isinstance(made, int | float):
            last[rank] = max(last.get(rank, (0.0, name)), (float(made), name))
    return {(name, rank) for rank, (_, name) in last.items()}


def creations(evidence: Evidence) -> dict[object, Event]:
    """`group.created` by name and desc, by name, and by its place in the order of creation."""
    found: dict[object, Event] = {}
    for event in evidence.of("group.created"):
        name, desc = str(event.data.get("group", "")), str(event.data.get("desc", ""))
        found[(name, desc)] = event
        found.setdefault(name, event)
        found.setdefault(event.data.get("index"), event)
    return found


def creation(name: str, event: Event, created: dict[object, Event]) -> Event | None:
    """How a recorded group was made. One without a name is known by its number: DETAIL makes two of each."""
    if name.startswith("pg:"):
        number = event.data.get("pg_id")
        return created.get(number // 2) if isinstance(number, int) else None
    return created.get((name, str(event.data.get("desc", "")))) or created.get(name)


def membership(desc: str, event: Event, told: Event | None, seen: set[int], evidence: Evidence) -> list[int]:
    """The ranks of a group; none where nothing tells of those that recorded nothing in it."""
    ranks = (told or event).data.get("ranks")
    if isinstance(ranks, list) and ranks:
        return sorted({int(rank) for rank in ranks if isinstance(rank, int)} | seen)
    if desc == "default_pg" or len({e.data.get("group") for e in evidence.of("flight.group_read")}) == 1:
        return sorted(seen | set(evidence.ranks) | set(range(min(evidence.num_ranks or 0, 1 << 17))))
    return []


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
            w = Waiting(group, seq, waiting, absent, waiting if done and not absent else [])
            waits.append(msgspec.structs.replace(w, behind=[]) if w.op() in ROOTED else w)
    return waits


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


def ranks(members: Iterable[Member]) -> list[int]:
    return [member.rank for member in members]


def stuck(look: Look | None, evidence: Evidence) -> list[Waiting]:
    """Who waits in what, at a look."""
    if look is None:
        return []
    return wait_for([*groups(look, evidence), *rendezvous(look, evidence)]) or by_stacks(look, evidence)


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

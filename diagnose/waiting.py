"""What a wait is: members of a communicator, how far each has come, who waits in which operation. Pure."""

from collections import Counter
from collections.abc import Iterable

from diagnose import histories
from diagnose.looks import Look
from diagnose.model import Event, Record, named

Key = tuple[object, ...]
ROOTED = {"broadcast", "reduce", "gather", "scatter"}  # members may be done before others have begun


class Member(Record, frozen=True):
    """One rank's place in one communicator. `launched` is -1 where the rank left no dump."""

    rank: int
    launched: int
    completed: int
    moved: bool = False  # between the two scans
    event: Event | None = None
    known: bool = True  # False: its dump leaves out, or has lost, what would tell how far it has come

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

    def site(self, seq: int) -> str:
        """Where its program launched a collective, if that is still recorded."""
        row = self.entry(seq)
        return str(row[6]) if row and len(row) > 6 and row[6] else ""

    def has_started(self, seq: int) -> bool:
        """Whether its device has begun a collective, where that is recorded."""
        started = self.event.data.get("started") if self.event else None
        return isinstance(started, int) and started >= seq


class Group(Record, frozen=True):
    name: str
    desc: str
    members: list[Member]
    is_whole: bool = True  # False: only those members are known that recorded something
    key: Key = ()  # the same for one communicator on all its ranks
    in_order: bool = False  # what a rank launches first is first to end, whatever the group (NCCL's streams)

    @property
    def is_pair(self) -> bool:
        """Two ranks with a transfer: its numbers are each side's own."""
        return self.key[-1:] == ("p2p",)

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
    heads: frozenset[int] = frozenset()  # of those waiting: whose oldest open operation it is

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
        for member in self.waiting if self.group.is_pair else self.group.members:
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


def ranks(members: Iterable[Member]) -> list[int]:
    return [member.rank for member in members]

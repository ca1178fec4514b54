"""The nouns: Event, Evidence, Fact, Finding. Imports nothing else from this project.

Times are unix seconds (UTC), sizes bytes, durations seconds, ranks global ranks.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import BinaryIO

import msgspec

Scalar = str | int | float | bool | None


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of everything here: immutable, and strict about spelling."""


class Member(Record, frozen=True):
    """One file of a bundle: its `where`, and how to read it.

    `where` is relative to the bundle, `/` separated; `name` is its last part. `size` is -1 where only reading
    it will tell.
    """

    where: str
    size: int
    open: Callable[[], BinaryIO]

    @property
    def name(self) -> str:
        return self.where.rpartition("/")[2]

    def read(self, limit: int = 64 << 20) -> bytes:
        """The first `limit` bytes."""
        with self.open() as stream:
            return stream.read(limit)


class Event(Record, frozen=True):
    """One thing one source said, at one time, about at most one rank."""

    kind: str  # "process.died"
    source: str  # "rank_log"
    where: str  # "logs/rank-00003.log:8812": always enough to find the line again
    time: float | None = None  # None when the source has no clock
    node: str | None = None
    rank: int | None = None
    data: dict[str, object] = {}
    within: str = (
        ""  # whose file it stands in, where that is not its source's: what else that one says is unseen
    )


class Coverage(msgspec.Struct, frozen=True):
    """Which ranks one source covers. What is in no list was not asked for."""

    present: list[int] = []
    missing: list[int] = []
    stale: list[int] = []
    refused: list[int] = []
    reason: dict[str, str] = {}  # rank, as text -> why it is missing, stale or refused


class Evidence(Record, frozen=True):
    """All events of one attempt of a run, and what each source covers.

    `read` holds the sources of which the bundle has anything at all; a source of
    the whole job (a launcher's log) is in `read` and lists every rank as present.
    """

    events: list[Event]
    coverage: dict[str, Coverage] = {}
    read: frozenset[str] = frozenset()
    ranks: list[int] = []  # every global rank anything is known of
    num_ranks: int | None = None  # the world size, when some source tells it
    nodes: dict[int, str] = {}  # rank -> node

    def of(self, *kinds: str) -> Iterator[Event]:
        """Events of these kinds, in the order of the evidence."""
        return (event for event in self.events if event.kind in kinds)

    def sees(self, sources: tuple[str, ...], rank: int | None) -> bool:
        """Whether any of `sources` speaks about `rank` (None: about the job)."""
        return any(
            source in self.read
            and (rank is None or source not in self.coverage or rank in self.coverage[source].present)
            for source in sources
        )


class Fact(Record, frozen=True):
    """One statement about the job, worked out from events, naming those events."""

    kind: str  # "collective.missing_ranks"
    text: str  # the statement in words, for people
    ranks: list[int] = []  # the ranks it is about; empty: the whole job
    nodes: list[str] = []
    data: dict[str, object] = {}
    since: float | None = None
    events: list[Event] = []  # what it rests on, best first
    inferred: bool = False  # by indirect evidence: nothing that rests on it alone is proven
    open: bool = False  # may turn out otherwise, only a later look tells: what rests on it alone is unknown


class FactKind(Record, frozen=True):
    """What a kind of fact says, and the sources any one of which could show it."""

    says: str
    needs: tuple[str, ...]


class Status(StrEnum):
    """Absence of evidence is `unknown`; it is never `absent`."""

    PRESENT = "present"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Finding(Record, frozen=True):
    """One failure mode, held against one bundle."""

    failure: str
    status: Status
    ranks: list[int] = []
    nodes: list[str] = []
    grade: str = ""  # proven | likely; empty unless present
    since: float | None = None
    facts: list[Fact] = []
    missing: list[str] = []  # sources that would settle an `unknown`


def fold(ranks: list[int]) -> str:
    """Ranks as people write them.

    >>> fold([0, 1, 2, 4, 5, 6, 7])
    '0-2,4-7'
    >>> fold([3])
    '3'
    >>> fold([])
    ''
    """
    parts: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if parts and rank == parts[-1][-1] + 1:
            parts[-1].append(rank)
        else:
            parts.append([rank])
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def line_of(event: Event) -> tuple[str, int]:
    """The file that an event stands in, and its line there; line 0 where it is of the whole file.

    >>> line_of(Event("a.told", "rank_log", "rank3.log:88")), line_of(Event("log.read", "rank_log", "a.log"))
    (('rank3.log', 88), ('a.log', 0))
    """
    file, colon, line = event.where.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() else (event.where, 0)


def is_below(event: Event, other: Event) -> bool:
    """Whether a line stands below another one in the same file."""
    (file, line), (other_file, other_line) = line_of(event), line_of(other)
    return file == other_file and 0 < other_line < line


def earliest(events: Iterable[Event]) -> float | None:
    """When the first of these was said; None where none of them has a time."""
    return min((event.time for event in events if event.time is not None), default=None)


def named(ranks: list[int]) -> str:
    """`rank 3`, `ranks 0-2,4`, or `the job` for no rank."""
    return f"rank{'s' if len(ranks) > 1 else ''} {fold(ranks)}" if ranks else "the job"


def integer(value: object) -> int | None:
    """A whole number of an event's data, where it is one; a truth value is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Any number of an event's data, where it is one that a float holds.

    >>> number(3), number(True), number("3"), number(10**400)
    (3.0, None, None, None)
    """
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def rows(value: object) -> list[dict[str, object]]:
    """The rows of a table of an event's data; none where it is no list, or holds anything else.

    >>> rows([{"pid": 7}, None]), rows({"pid": 7})
    ([{'pid': 7}], [])
    """
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def size(value: object) -> str:
    """A number of bytes in words; as it is written, where it is none.

    >>> size(85 << 30), size(1536), size(3), size(-2048), size(None)
    ('85.0 GiB', '1.5 KiB', '3 B', '-2.0 KiB', 'None')
    """
    amount = number(value)
    if amount is None:
        return str(value)
    units = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
    return next(
        (f"{amount / least:.1f} {unit}" for least, unit in units if abs(amount) >= least), f"{amount:g} B"
    )

"""The reader of a whole log: known lines to events, tracebacks of each writer apart, wrappers off. Pure.

Bytes are searched for the words of all known lines at once; only lines with one of them are decoded. Inside
a traceback or a table every line counts.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator
from functools import cache

from diagnose import days, failure_table, lines, suspects
from diagnose.anchors import Anchors
from diagnose.failure_table import HEADS, FailureTable, Listed
from diagnose.messages import Data, Pattern
from diagnose.model import Event, Member, line_of
from diagnose.naming import MAX_RANK
from diagnose.stamps import has_zone, seconds
from diagnose.suspects import Suspects
from diagnose.text import chunks, parts
from diagnose.tracebacks import Raised, Tracebacks
from diagnose.wrappers import Prefixed, process_of, unwrap

EVENTS = {
    "log.read": "one log, read to its end; data: num_lines, num_bytes, last_line, days (of the year, of its "
    "first stamp and its last), num_unknown and unknown: lines that look like errors, and no more is known",
    "exception.raised": "a Python traceback; data: type, message, frames (innermost last), end (of a chain)",
    "source.unreadable": "a place that could not be read; data: reason",
    **failure_table.EVENTS,
    **lines.events(),
}
MAX_ALIKE = 200  # events of one kind and rank kept from one file: the aftermath is always the most frequent
MAX_WRITERS = 1 << 13
MAX_TEXT = 2000
MAX_LOOKED = 50_000  # lines with one word: whose flood drowns all else has said what it can
HORIZON = 10_000  # lines after which nobody goes on with a traceback or a table
LAUNCHERS_OWN = {"ChildFailedError", "ProcessExitedException", "ProcessRaisedException"}
TRACE_WORDS = ("Traceback (most", '", line ', "Exception in thread", "Exception ignored in", "Process-")
# An exception whose traceback is not there: people quote the last line alone.
BARE = re.compile(
    r"\s{0,8}(?P<type>(?:[A-Za-z_]\w{0,40}\.){0,6}[A-Z]\w{0,60}(?:Error|Exception)): (?P<message>\S.{0,4000})"
)
BARE_WORDS = ("Error: ", "Exception: ")
QUOTED = {"resource.refused", "collective.prints_told"}  # what an exception's own line may hold
STEADY = {
    *TRACE_WORDS,
    *HEADS,
    "-- Process ",
}  # words that are looked for to the end, however often they come
# Every rank prints of a checkpoint that failed whose failure it was.
OF_RANK = re.compile(r"\(most recent call last\): \(RANK (\d{1,6})\)")
CHILD = re.compile(r"-- Process (\d{1,7}) terminated with the following error:\s*")


@cache
def anchors() -> tuple[Anchors, tuple[tuple[int, ...], ...]]:
    """The words that make a line count, and for each the numbers of the patterns that it is of.

    Words that only make a line suspect are the last ones, and have no numbers.
    """
    patterns = lines.patterns()
    known = dict.fromkeys([*(p.word for p in patterns), *BARE_WORDS, *sorted(STEADY)])
    numbers = tuple(tuple(n for n, p in enumerate(patterns) if p.word == word) for word in known)
    return Anchors([*known, *suspects.WORDS]), numbers


class Reader:
    """Reads one log, chunk by chunk; `feed` and `close` give its events."""

    def __init__(self, source: str, where: str, rank: int | None = None):
        self.source, self.where, self.rank = source, where, rank
        self.anchors, self.numbers = anchors()
        self.patterns = lines.patterns()
        self.number = 1  # of the line that comes next
        self.looked: Counter[int] = Counter()  # word -> lines with it
        self.kept = {n for n, word in enumerate(self.anchors.words) if word in STEADY}
        self.num_known = 0  # lines of the families so far
        self.writers: dict[str, Tracebacks] = {}
        self.ranks: dict[str, int | None] = {}  # of each writer, by its wrapper
        self.open: set[str] = set()  # writers inside a traceback
        self.table = FailureTable()
        self.child: int | None = None  # index of the spawned process whose traceback comes
        self.alike: Counter[tuple[str, int | None]] = Counter()
        self.seen: set[tuple[int | None, str, str]] = set()  # exceptions
        self.suspects = Suspects()

    def is_inside(self) -> bool:
        """Whether every line counts now, whatever it holds."""
        return bool(self.open) or self.table.is_open()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events of these lines, or that they complete."""
        if loud := {word for word, num in self.looked.items() if num >= MAX_LOOKED} - self.kept:
            self.anchors = self.anchors.without(loud)
            self.looked.clear()
        hits = deque(self.anchors.places(chunk))
        at = 0
        while at < len(chunk):
            if not self.is_inside():
                while hits and hits[0][1] < at:
                    hits.popleft()
                if not hits:
                    break  # most of a long log says nothing
                start = chunk.rfind(b"\n", at, hits[0][1]) + 1 or at
                self.number += chunk.count(b"\n", at, start)
                at = start
            end = chunk.find(b"\n", at)
            end = end if end >= 0 else len(chunk)
            words = set[int]()
            while hits and hits[0][2] <= end:
                words.add(hits.popleft()[0])
            yield from self.line(chunk[at:end], words)
            if end == len(chunk):
                return
            at = end + 1
            self.number += 1
            if self.number % HORIZON == 0:
                yield from self.give_up(self.number - HORIZON)
        self.number += chunk.count(b"\n", at)

    def line(self, line: bytes, words: set[int]) -> Iterator[Event]:
        """One line with the words in it."""
        self.looked.update(words)
        known = {word for word in words if word < len(self.numbers)}
        if not known and not self.is_inside():
            self.suspects.add(self.number, line)
            return
        numbers = sorted({n for word in known for n in self.numbers[word]})
        patterns = [self.patterns[n] for n in numbers]
        for part in parts(line):
            was_inside, num = self.is_inside(), self.num_known
            yield from self.shown(self.number, unwrap(part.decode("utf-8", "replace")), patterns)
            is_known = was_inside or self.is_inside() or num < self.num_known
            if len(words) > len(known) and not is_known:
                self.suspects.add(self.number, part)

    def shown(self, number: int, line: Prefixed, patterns: list[Pattern]) -> Iterator[Event]:
        if (head := line.text.strip()) in HEADS:
            if not self.table.is_open():
                yield from self.flush()
            yield from self.listed(self.table.begin(number, head))
        elif self.table.is_open():
            yield from self.listed(self.table.feed(number, line.text))
        else:
            yield from self.told(number, line, patterns)

    def told(self, number: int, line: Prefixed, patterns: list[Pattern]) -> Iterator[Event]:
        writer = self.rank_of(line)
        was_inside = self.is_inside_of(line.wrapper)
        if was_inside and writer is None:
            writer = self.ranks[line.wrapper]  # the first line alone was marked
        yield from self.traced(number, line, writer)
        is_told = False
        for pattern in patterns:
            rank = writer if pattern.by_rank else None
            if self.alike[pattern.kind, rank] >= MAX_ALIKE:
                self.num_known += 1  # most likely: it is not looked at any more
                is_told = True
            elif (data := pattern.search(line.text)) is not None:
                self.num_known += 1
                is_told |= pattern.kind not in QUOTED
                data = process_of(line.text) | data if pattern.by_rank else data
                yield from self.event(pattern.kind, number, rank, data, line.stamp, pattern.source)
        if not was_inside and not is_told:
            yield from self.bare(number, line, writer)
        if found := CHILD.fullmatch(line.text):
            data = {"process": int(found[1]), "exit_code": 1}  # what mp.spawn's wrapper exits with
            yield from self.event("spawn.child_failed", number, self.rank, data, source="launcher_log")
            self.child = int(found[1]) if self.rank is None else None

    def is_inside_of(self, wrapper: str) -> bool:
        """Whether a writer is inside a traceback of its own."""
        writer = self.writers.get(wrapper)
        return writer is not None and writer.is_open()

    def bare(self, number: int, line: Prefixed, rank: int | None) -> Iterator[Event]:
        """An exception's last line without the lines before it, once for each rank; not one that is known."""
        if found := BARE.fullmatch(line.text):
            raised = Raised(number, found["type"], found["message"], [], True, {})
            if identity(raised, rank) not in self.seen:
                yield from self.raised(raised, rank)

    def rank_of(self, line: Prefixed) -> int | None:
        """Torch's own prefix is surest, then the file's name, then a launcher's prefix."""
        if self.child is not None and not line.wrapper:
            return self.child
        rank = line.rank if line.is_sure or self.rank is None else self.rank
        return rank if rank is None or rank < MAX_RANK else None

    def traced(self, number: int, line: Prefixed, rank: int | None) -> Iterator[Event]:
        writer = self.writers.get(line.wrapper)
        if writer is None:
            if not any(word in line.text for word in TRACE_WORDS) or len(self.writers) >= MAX_WRITERS:
                return
            writer = self.writers[line.wrapper] = Tracebacks()
        was_open = writer.is_open()
        for raised in writer.feed(number, line.text):
            yield from self.raised(raised, self.ranks[line.wrapper])
        if not was_open or "Traceback (most" in line.text:
            found = OF_RANK.search(line.text)
            self.ranks[line.wrapper] = int(found[1]) if found else rank
        (self.open.add if writer.is_open() else self.open.discard)(line.wrapper)

    def raised(self, raised: Raised, rank: int | None) -> Iterator[Event]:
        if rank is not None and rank == self.child and raised.is_end:
            self.child = None
        if not raised.type:
            why: Data = {"reason": "a traceback breaks off"}
            yield from self.event("source.unreadable", raised.line, rank, why)
        elif raised.type.rpartition(".")[2] not in LAUNCHERS_OWN:
            self.seen.add(identity(raised, rank))
            yield from self.event("exception.raised", raised.line, rank, exception(raised))

    def listed(self, found: list[Listed]) -> Iterator[Event]:
        for line, rank, row, raised in found:
            if row is not None:
                yield from self.event("launcher.failure_listed", line, rank, row, source="launcher_log")
            if raised is not None and identity(raised, rank) not in self.seen:
                yield from self.raised(raised, rank)

    def event(
        self, kind: str, number: int, rank: int | None, data: Data, stamp: str = "", source: str = ""
    ) -> Iterator[Event]:
        self.alike[kind, rank] += 1
        if self.alike[kind, rank] <= MAX_ALIKE:
            time = seconds(stamp) if has_zone(stamp) else None
            within = self.source if source and source != self.source else ""
            place = f"{self.where}:{number}"
            yield Event(kind, source or self.source, place, time=time, rank=rank, data=data, within=within)

    def close(self) -> Iterator[Event]:
        """What is still open at the end."""
        yield from self.listed(self.table.close())
        yield from self.flush()

    def flush(self) -> Iterator[Event]:
        """Exceptions that only wait for what may follow them."""
        yield from self.give_up(self.number)

    def give_up(self, before: int) -> Iterator[Event]:
        """End what nobody went on with since a line."""
        if self.table.is_open() and self.table.last < before:
            yield from self.listed(self.table.close())
        for wrapper in [w for w in self.open if self.writers[w].last <= before]:
            for raised in self.writers[wrapper].close():
                yield from self.raised(raised, self.ranks[wrapper])
            self.open.discard(wrapper)


def identity(raised: Raised, rank: int | None) -> tuple[int | None, str, str]:
    """What makes two tracebacks copies of one: the launcher quotes the type without its module."""
    return rank, raised.type.rpartition(".")[2], raised.message.split("\n")[0][:200]


def exception(raised: Raised) -> Data:
    """The data of an `exception.raised`."""
    data: Data = {"type": raised.type, "message": raised.message[:MAX_TEXT], "frames": raised.frames}
    return data | {"end": raised.is_end} | raised.note


def read_log(member: Member, reader: Reader) -> Iterator[Event]:
    """All events of a log in the order of its lines, `log.read` last.

    Raises OSError alone, where the log cannot be read to its end, after what could be read.
    """
    last, is_whole = b"", True
    begun, tail = None, b""
    events: list[Event] = []
    damage: OSError | None = None
    try:
        with member.open() as stream:
            for chunk in chunks(stream):
                events += reader.feed(chunk)
                is_whole = chunk.endswith(b"\n")
                last = last_line(chunk) or last
                begun = days.first(chunk[: days.EDGE]) if begun is None else begun
                tail = chunk[-days.EDGE :]
    except OSError as error:
        damage = error
    events += reader.close()
    yield from sorted(events, key=lambda event: line_of(event)[1])
    if damage:
        raise damage
    shown = [text for part in parts(last) if (text := unwrap(part.decode("utf-8", "replace")).text.strip())]
    data: Data = {
        "num_lines": reader.number - is_whole,
        "num_bytes": member.size if member.size >= 0 else None,
        "last_line": shown[-1][:500] if shown else "",
        **({} if begun is None else {"days": [begun, days.last(tail) or begun]}),
        **reader.suspects.told(),
    }
    yield Event("log.read", reader.source, member.where, rank=reader.rank, data=data)


def last_line(chunk: bytes) -> bytes:
    """The last line that is not blank; empty where all are."""
    end = len(chunk)
    while end > 0:
        start = chunk.rfind(b"\n", 0, end) + 1
        if chunk[start:end].strip():
            return chunk[start:end]
        end = start - 1
    return b""

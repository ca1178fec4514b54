"""The reader of a whole log: wrappers off, tracebacks of each writer apart, known lines to events. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator

from diagnose.messages import RANK_LINES, Data, Pattern
from diagnose.model import Event, Member
from diagnose.text import MAX_RANK, Prefixed, blocks, has_zone, parts, seconds, unwrap
from diagnose.tracebacks import Raised, Tracebacks

MAX_ALIKE = 200  # events of one kind and rank kept from one file: the aftermath is always the most frequent
MAX_WRITERS = 1 << 13
MAX_TEXT = 2000
LAUNCHERS_OWN = {"ChildFailedError", "ProcessExitedException", "ProcessRaisedException"}
TRACE_WORDS = ("Traceback (most", "Exception in thread", "Exception ignored in", "Process-")
# Folders of a run directory that hold other evidence.
OTHERS = {"events", "stacks", "flight", "faults", "errors", "host", "state", "claims"}


def is_text(head: bytes) -> bool:
    """Whether a head may be a log: no pickle, no JSON document, no archive. An empty file may."""
    start = head[:4096].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")
    if start.startswith((b"{", b"[{", b"[\n", b"\x80", b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF")):
        return False
    strange = sum(byte < 32 and byte not in (0, 8, 9, 10, 12, 13, 27) for byte in start)
    return strange * 20 <= len(start)


class Reader:
    """Reads one log, block by block; `feed` and `close` give its events."""

    words: tuple[str, ...] = TRACE_WORDS

    def __init__(
        self, source: str, where: str, rank: int | None = None, table: Iterable[Pattern] = RANK_LINES
    ):
        self.source, self.where, self.rank, self.table = source, where, rank, tuple(table)
        self.words = tuple({pattern.word for pattern in self.table}) + type(self).words
        self.writers: dict[str, Tracebacks] = {}
        self.ranks: dict[str, int | None] = {}  # of each writer, by its wrapper
        self.num_open = 0  # writers inside a traceback
        self.alike: Counter[tuple[str, int | None]] = Counter()
        self.seen: set[tuple[int | None, str, str]] = set()  # exceptions

    def is_inside(self) -> bool:
        """Whether every line counts now, whatever it holds."""
        return self.num_open > 0

    def feed(self, start: int, block: list[str]) -> Iterator[Event]:
        """The events of these physical lines, or that they complete."""
        whole = "\n".join(block)
        words = [word for word in self.words if word in whole]
        if not words and not self.is_inside():
            return  # the fast way: most of a long log says nothing
        for number, line in enumerate(block, start):
            if self.is_inside() or any([word in line for word in words]):
                for part in parts(line):
                    yield from self.shown(number, unwrap(part))

    def shown(self, number: int, line: Prefixed) -> Iterator[Event]:
        rank = self.rank_of(line)
        yield from self.traced(number, line, rank)
        for pattern in self.table:
            if pattern.word in line.text and (found := pattern.regex.search(line.text)):
                yield from self.event(pattern.kind, number, rank, pattern.data(found), line.stamp)

    def rank_of(self, line: Prefixed) -> int | None:
        """Torch's own prefix is surest, then the file's name, then a launcher's prefix."""
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
            self.ranks[line.wrapper] = rank
        self.num_open += writer.is_open() - was_open

    def raised(self, raised: Raised, rank: int | None) -> Iterator[Event]:
        if not raised.type:
            why: Data = {"reason": "a traceback breaks off"}
            yield from self.event("source.unreadable", raised.line, rank, why)
        elif raised.type.rpartition(".")[2] not in LAUNCHERS_OWN:
            self.seen.add(identity(raised, rank))
            yield from self.event("exception.raised", raised.line, rank, exception(raised))

    def event(self, kind: str, number: int, rank: int | None, data: Data, stamp: str = "") -> Iterator[Event]:
        self.alike[kind, rank] += 1
        if self.alike[kind, rank] <= MAX_ALIKE:
            time = seconds(stamp) if has_zone(stamp) else None
            yield Event(kind, self.source, f"{self.where}:{number}", time=time, rank=rank, data=data)

    def close(self) -> Iterator[Event]:
        """What is still open at the end."""
        yield from self.flush()

    def flush(self) -> Iterator[Event]:
        """Exceptions that only wait for what may follow them."""
        self.num_open = 0
        for wrapper, writer in self.writers.items():
            for raised in writer.close():
                yield from self.raised(raised, self.ranks[wrapper])


def identity(raised: Raised, rank: int | None) -> tuple[int | None, str, str]:
    """What makes two tracebacks copies of one: the launcher quotes the type without its module."""
    return rank, raised.type.rpartition(".")[2], raised.message.split("\n")[0][:200]


def exception(raised: Raised) -> Data:
    """The data of an `exception.raised`."""
    data: Data = {"type": raised.type, "message": raised.message[:MAX_TEXT], "frames": raised.frames}
    return data | {"end": raised.is_end} | raised.note


def read_log(member: Member, reader: Reader) -> Iterator[Event]:
    """All events of a log in the order of its lines, `log.read` last. Raises OSError alone."""
    count, last = 0, ""
    events: list[Event] = []
    with member.open() as stream:
        for start, block in blocks(stream):
            events += reader.feed(start, block)
            count = start + len(block) - 1
            last = next((line for line in reversed(block) if line and not line.isspace()), last)
    events += reader.close()
    yield from sorted(events, key=lambda event: int(event.where.rpartition(":")[2]))
    shown = [part for part in parts(last) if part.strip()]
    text = unwrap(shown[-1]).text.strip()[:500] if shown else ""
    data: Data = {"num_lines": count, "num_bytes": member.size, "last_line": text}
    yield Event("log.read", reader.source, member.where, rank=reader.rank, data=data)

"""The ranks of a running job as a table: fed with event lines, laid out for any size. Pure."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import click

from diagnose.model import fold, named
from diagnose.progress import Progress, number
from diagnose.render.page import clock, count, safe

Event = Mapping[str, object]
HEAD = ("RANK", "PID", "DOES", "STEP", "SILENT", "CPU", "MEM", "LAST")
RIGHT = {"PID", "STEP", "SILENT", "CPU", "MEM"}
OWN = {"rank.died", "rank.stopped", "rank.continued"}  # what the agent says that a rank did
SILENT_S = 10.0  # a sample's age: less is no silence
NUM_ROWS = 16  # beyond so many ranks those that do the same are one row, where no height says otherwise
COLOUR = {"died": "red", "exited with": "red", "stopped": "yellow", "silent": "yellow"}
MOST_RANKS, MOST_DOES = 20, 36  # cells of a column
LAST, LEAST_LAST = 40, 24  # the last column is put below the row where it has less room and lines are left
STALE_S = 30.0  # samples come every ten seconds


class Group(NamedTuple):
    """Ranks that share a row: one, or several that do the same."""

    ranks: list[int]
    words: str


class Ranks:
    """Feed it event lines; `groups` and `cells` say what each rank does now."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.attempt: str | None = None
        self.found = 0.0
        self.samples: dict[int, Event] = {}
        self.pids: dict[int, int] = {}
        self.last: dict[int, Event] = {}  # the newest event of the rank itself
        self.job: Event = {}  # the newest that was said of the job's progress
        self.num_ranks, self.newest = 0, 0.0

    def feed(self, event: Event) -> None:
        """Take in one event line, of any writer."""
        kind, rank, time = str(event.get("event")), event.get("rank"), number(event.get("time"))
        if kind in {"job.stalled", "job.progressed", "job.unwatched"}:
            self.job = event
        elif isinstance(rank, int) and not self._is_of_now(event, kind, time):
            return
        self.newest = max(self.newest, time)
        self.progress.feed(event)
        if not isinstance(rank, int):
            return
        if kind == "rank.sampled":
            self.samples[rank] = event
        if kind == "rank.died":
            self.samples[rank] = {**self.samples.get(rank, {}), "num_steps": event.get("num_steps")}
        if kind == "rank.found":
            self.num_ranks = max(self.num_ranks, int(number(event.get("world_size"))))
        if kind in {"rank.sampled", "rank.found"} and isinstance(pid := event.get("pid"), int):
            self.pids[rank] = pid
        if event.get("source") == "rank_hook" or kind in OWN:
            self.last[rank] = event

    def _is_of_now(self, event: Event, kind: str, time: float) -> bool:
        """Whether it is of the newest attempt; a rank found in a later one begins that."""
        attempt = str(event.get("attempt"))
        is_first = self.attempt is None
        if is_first or (kind == "rank.found" and attempt != self.attempt and time >= self.found):
            self.attempt, self.found, self.job = attempt, time, {}
            self.num_ranks = 0
            for known in (self.samples, self.pids, self.last, self.progress.ranks):
                known.clear()
        return attempt == self.attempt

    def groups(self, room: int) -> list[Group]:
        """One rank a row while there is room, else one row for those that do the same; the odd ones first."""
        alike = sorted(self.progress.groups(), key=lambda pair: (len(pair[1]), pair[1]))
        if len(self.progress.ranks) <= room:
            return [Group([rank], words) for words, ranks in alike for rank in ranks]
        return [Group(ranks, words) for words, ranks in alike]

    def silent_s(self, rank: int, now: float) -> float:
        """Without any progress so long, as far as one knows; 0 where it moves, or is gone."""
        if self.is_dead(rank):
            return 0.0
        told = self.job if rank in self._stalled() else self.samples.get(rank, {})
        silent = number(told.get("silent_s"))
        return silent + now - number(told.get("time")) if silent >= SILENT_S or told is self.job else 0.0

    def _stalled(self) -> list[int]:
        told = self.job.get("ranks") if self.job.get("event") == "job.stalled" else None
        return [rank for rank in told if isinstance(rank, int)] if isinstance(told, list) else []

    def is_dead(self, rank: int) -> bool:
        return self.last.get(rank, {}).get("event") == "rank.died"

    def size(self) -> str:
        """`8 ranks`, or `7 of 8 ranks` where not all were seen."""
        num = len(self.progress.ranks)
        if num < self.num_ranks:
            return f"{num} of {count(self.num_ranks, 'rank')}"
        return count(num, "rank") if num else ""

    def stale_s(self, now: float) -> float:
        """How old the newest sample of the living is, where that is too old; else 0."""
        times = [number(s.get("time")) for rank, s in self.samples.items() if not self.is_dead(rank)]
        age = now - max(times) if times else 0.0
        return age if age > STALE_S else 0.0

    def status(self, now: float) -> str:
        """Whether the job moves, where that is worth a line."""
        since = now - number(self.job.get("time"))
        match self.job.get("event"):
            case "job.stalled":
                silent = clock(number(self.job.get("silent_s")) + since)
                return f"no progress of {named(self._stalled())} for {silent}"
            case "job.progressed":
                return f"it moves again, since {clock(since)}"
            case "job.unwatched":
                return "no step, phase or collective was ever seen: silence cannot be told from work"
        return ""

    def cells(self, group: Group, now: float) -> dict[str, str]:
        """A row's cells by the column's name."""
        ranks = group.ranks
        seen = [self.progress.ranks[rank] for rank in ranks]
        samples = [self.samples[rank] for rank in ranks if rank in self.samples]
        phases = [
            one.since for one, r in zip(seen, ranks, strict=True) if self.samples.get(r, {}).get("phase")
        ]
        tail = next((one.tail for one in seen if one.tail), "")
        busy = [
            100 * number(s.get("busy_s")) / number(s.get("interval_s"))
            for s in samples
            if s.get("interval_s")
        ]
        silent = max((self.silent_s(rank, now) for rank in ranks), default=0.0)
        return {
            "RANK": who if len(who := fold(ranks)) <= MOST_RANKS else count(len(ranks), "rank"),
            "PID": str(self.pids.get(ranks[0], "")) if len(ranks) == 1 else "",
            "DOES": fit(f"{group.words}{f' {clock(now - min(phases))}' if phases else ''}{tail}", MOST_DOES),
            "STEP": span(
                [str(int(n)) for s in order(samples, "num_steps") if (n := number(s.get("num_steps")))]
            ),
            "SILENT": clock(silent) if silent else "",
            "CPU": f"{span([f'{share:.0f}' for share in sorted(busy)])}%" if busy else "",
            "MEM": span([size(n) for s in order(samples, "rss") if (n := number(s.get("rss")))]),
            "LAST": self.told(ranks, now),
        }

    def told(self, ranks: Sequence[int], now: float) -> str:
        """The newest event of these ranks, and the newest line one of them has printed."""
        events = [self.last[rank] for rank in ranks if rank in self.last]
        newest = max(events, key=lambda event: number(event.get("time")), default=None)
        parts = []
        if newest:
            what = str(newest.get("phase") or newest.get("type") or "")
            ago = clock(now - number(newest.get("time")))
            parts = [f"{newest.get('event')}{f' {what}' if what else ''}, {ago} ago"]
        lines = [str(line) for rank in ranks if (line := self.samples.get(rank, {}).get("log_line"))]
        return safe("; ".join(parts + lines[:1]))


def order(samples: Sequence[Event], key: str) -> list[Event]:
    return sorted(samples, key=lambda sample: number(sample.get(key)))


def span(values: Sequence[str]) -> str:
    """
    >>> span(["3", "4", "9"]), span(["3", "3"]), span([])
    ('3-9', '3', '')
    """
    low, high = (values[0], values[-1]) if values else ("", "")
    return low if low == high else f"{low}-{high}"


def size(num: float) -> str:
    """
    >>> size(62836736), size(3 << 30), size(0)
    ('60M', '3.0G', '0M')
    """
    return f"{num / (1 << 30):.1f}G" if num >= 1 << 30 else f"{num / (1 << 20):.0f}M"


def width(text: str) -> int:
    """Cells on the screen: some characters take two, some none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text if c > "\u02ff")
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text if c > "\u02ff")


def fit(text: str, columns: int) -> str:
    """One printable line of at most so many cells.

    >>> fit("in all_reduce #9", 12), fit("a\\nb", 9)
    ('in all_re...', 'a b')
    """
    text = safe(text)
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 3:
        text = text[: min(len(text) - 1, columns - 3)]
    return (text + "...")[: max(0, columns)]


def table(ranks: Ranks, columns: int, height: int | None, now: float) -> Iterator[str]:
    """The head and the rows, of at most `columns` cells and `height` lines (None: as many as it takes)."""
    groups = ranks.groups(NUM_ROWS if height is None else height - 1)
    rows = [ranks.cells(group, now) for group in groups]
    shown = rows if height is None or len(rows) < height else rows[: max(0, height - 2)]
    widths = {name: max(map(len, [name, *(row[name] for row in shown)])) for name in HEAD[:-1]}
    room = columns - sum(widths.values()) - 2 * len(widths)
    is_below = room < LAST and (height is None or 2 * len(shown) < height)
    is_beside = room >= LEAST_LAST and not is_below
    names = HEAD if is_beside else HEAD[:-1]
    for row in [{name: name for name in HEAD}, *shown]:
        padded = (f"{row[n]:>{widths[n]}}" if n in RIGHT else f"{row[n]:{widths.get(n, 0)}}" for n in names)
        line = fit("  ".join(padded).rstrip(), columns)
        yield next(
            (click.style(line, fg=c) for word, c in COLOUR.items() if row["DOES"].startswith(word)), line
        )
        if is_below and row["LAST"] != "LAST" and row["LAST"]:
            yield "      " + fit(row["LAST"], columns - 6)
    if left := groups[len(shown) :]:
        yield f"and {count(len(left), 'more row')} of {count(sum(len(g.ranks) for g in left), 'rank')}"

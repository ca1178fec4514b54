"""The ranks of a running job as a table, laid out for any size of screen. Pure."""

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click

from diagnose.model import fold
from diagnose.progress import number
from diagnose.ranks import Event, Ranks
from diagnose.render.rows import clock, count, safe

HEAD = ("RANK", "PID", "DOES", "STEP", "SILENT", "CPU", "MEM", "LAST")
RIGHT = {"PID", "STEP", "SILENT", "CPU", "MEM"}
NUM_ROWS = 16  # beyond so many ranks those that do the same are one row, where no height says otherwise
COLOUR = {"died": "red", "exited with": "red", "stopped": "yellow", "silent": "yellow"}
MOST_RANKS, MOST_DOES = 20, 36  # cells of a column
LAST, LEAST_LAST = 40, 24  # the last column is put below the row where it has less room and lines are left


class Group(NamedTuple):
    """Ranks that share a row: one, or several that do the same."""

    ranks: list[int]
    words: str


def groups(ranks: Ranks, room: int) -> list[Group]:
    """One rank a row while there is room, else one row for those that do the same; the odd ones first."""
    alike = sorted(ranks.progress.groups(), key=lambda pair: (len(pair[1]), pair[1]))
    if len(ranks.progress.ranks) <= room:
        return [Group([rank], words) for words, who in alike for rank in who]
    return [Group(who, words) for words, who in alike]


def cells(ranks: Ranks, group: Group, now: float) -> dict[str, str]:
    """A row's cells by the column's name."""
    who = group.ranks
    seen = [ranks.progress.ranks[rank] for rank in who]
    samples = [ranks.samples[rank] for rank in who if rank in ranks.samples]
    since = [one.since for one, rank in zip(seen, who, strict=True) if ranks.sample(rank).get("phase")]
    clocked = f" {clock(now - min(since))}" if since else ""
    tail = next((one.tail for one in seen if one.tail), "")
    busy = sorted(share for rank in who if (share := ranks.busy(rank)) is not None)
    silent = max((ranks.silent_s(rank, now) for rank in who), default=0.0)
    return {
        "RANK": text if len(text := fold(who)) <= MOST_RANKS else count(len(who), "rank"),
        "PID": str(ranks.pids.get(who[0], "")) if len(who) == 1 else "",
        "DOES": fit(f"{group.words}{clocked}{tail}", MOST_DOES),
        "STEP": span([f"{num:.0f}" for num in numbers(samples, "num_steps")]),
        "SILENT": clock(silent) if silent else "",
        "CPU": f"{span([f'{share:.0f}' for share in busy])}%" if busy else "",
        "MEM": span([size(num) for num in numbers(samples, "rss")]),
        "LAST": told(ranks, who, now),
    }


def told(ranks: Ranks, who: Sequence[int], now: float) -> str:
    """The newest event of these ranks, and the newest line one of them has printed."""
    events = [ranks.last[rank] for rank in who if rank in ranks.last]
    newest = max(events, key=lambda event: number(event.get("time")), default=None)
    parts = []
    if newest:
        what = str(newest.get("phase") or newest.get("type") or "")
        ago = clock(now - number(newest.get("time")))
        parts = [f"{newest.get('event')}{f' {what}' if what else ''}, {ago} ago"]
    lines = [str(line) for rank in who if (line := ranks.sample(rank).get("log_line"))]
    return safe("; ".join(parts + lines[:1]))


def numbers(samples: Sequence[Event], key: str) -> list[float]:
    """What the samples have of a number, the least first."""
    return sorted(num for sample in samples if (num := number(sample.get(key))) > 0)


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
    parts = groups(ranks, NUM_ROWS if height is None else height - 1)
    rows = [cells(ranks, part, now) for part in parts]
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
    if left := parts[len(shown) :]:
        num = sum(len(part.ranks) for part in left)
        yield fit(f"and {count(len(left), 'more row')} of {count(num, 'rank')}", columns)

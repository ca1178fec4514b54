"""What one known line looks like, and how to ask a text for it. Pure.

A pattern is found anywhere in a line once its wrappers are off; other text may stand around it.
"""

import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

Data = dict[str, object]


@dataclass(frozen=True)
class Pattern:
    """One line: `word` must be in it (fast), `regex` is searched in it, `data` is made of what was found.

    `source`: whose line it is, wherever it stands; empty: the log's own. `by_rank`: the rank whose log it is
    in, or whose prefix it has, wrote it; not so for what a kernel, a launcher or a platform says.
    """

    kind: str
    word: str
    text: str
    data: Callable[[re.Match[str]], Data]
    source: str = ""
    by_rank: bool = True

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Compiled when its word is first seen: most never are."""
        return re.compile(self.text)

    def search(self, text: str) -> Data | None:
        """The data, where a text has the line in it."""
        if self.word in text and (found := self.regex.search(text)):
            return self.data(found)
        return None


def line(
    kind: str,
    word: str,
    text: str,
    *numbers: str,
    data: Callable[[re.Match[str]], Data] | None = None,
    source: str = "",
    by_rank: bool = True,
) -> Pattern:
    """A pattern whose data is its named groups, those in `numbers` as whole numbers, unless `data` says else.

    >>> line("x.seen", "port", r"(?P<host>\\w+) port (?P<port>\\d{1,5})", "port").search("at box port 80")
    {'host': 'box', 'port': 80}
    """
    return Pattern(kind, word, text, data or named(*numbers), source, by_rank)


def nccl_line(
    kind: str,
    word: str,
    text: str,
    *numbers: str,
    data: Callable[[re.Match[str]], Data] | None = None,
) -> Pattern:
    """A line of NCCL_DEBUG. It is the process's own, wherever it stands."""
    return line(kind, word, text, *numbers, data=data, source="nccl_log")


def named(*numbers: str) -> Callable[[re.Match[str]], Data]:
    """Named groups that were found, some of them as whole numbers."""

    def data(found: re.Match[str]) -> Data:
        told = {name: text for name, text in found.groupdict().items() if text is not None}
        return {name: int(text) if name in numbers else text for name, text in told.items()}

    return data


def whole_match(found: re.Match[str]) -> Data:
    """What was found, as `text`."""
    return {"text": found[0]}


def said(text: str, patterns: Iterable[Pattern]) -> tuple[str, Data] | None:
    """The first pattern in a text: the kind of event it makes, and its data."""
    for pattern in patterns:
        if (data := pattern.search(text)) is not None:
            return pattern.kind, data
    return None


def signal_number(name: str) -> int | None:
    """`SIGTERM`, `Signals.SIGTERM` or `15` as 15.

    >>> signal_number("Signals.SIGTERM"), signal_number("9"), signal_number("SIGNONE")
    (15, 9, None)
    """
    name = name.rpartition(".")[2]
    if name.isdecimal():
        return int(name)
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else None


# Who writes: a rank of the group of all ranks, where the line names no other group.
WRITER = re.compile(r"(?:^|\] )\[(?:PG (?:ID \d{1,9} PG GUID )?0\b.{0,60}? )?Rank (\d{1,7})\]")


def group_rank(line: str) -> Data:
    """The rank, in the group of all ranks, that ProcessGroupNCCL says it writes as; empty without one.

    >>> group_rank("[E304 1] [PG ID 0 PG GUID 0(default_pg) Rank 5] x"), group_rank("[PG 2 (tp) Rank 1] x")
    ({'group_rank': 5}, {})
    """
    writer = WRITER.search(line[:400])
    return {"group_rank": int(writer[1])} if writer else {}


def numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d{1,7}", text)]


def fields(text: str) -> dict[str, str]:
    """`SeqNum=3, OpType=ALLREDUCE, Timeout(ms)=600` -> a dict, with lower-case names."""
    return {name.lower(): value for name, value in re.findall(r"(\w+)(?:\(ms\))?=(\w+)", text)}

"""Rows and sections, which every form prints alike, and the words that they share."""

import re
from typing import NamedTuple

from diagnose.model import named
from diagnose.verdict import Cause


class Row(NamedTuple):
    """`text` to the left, `right` (a place, a grade, a risk) to the right."""

    text: str
    right: str = ""
    role: str = "line"  # head | line | code | frame | matrix | place (its right side is a place to open)


class Section(NamedTuple):
    label: str
    rows: list[Row]


class Page(NamedTuple):
    """What was looked at, its size, what was found, what is seen of it; then sections."""

    name: str
    size: str
    symptom: str
    state: str
    sections: list[Section]
    what: str = "run"


def safe(text: str) -> str:
    r"""One printable line: evidence may hold terminal codes or text that turns its direction.

    >>> safe("a\x1b[31mred\n  b")
    'a\\x1b[31mred b'
    """
    line = re.sub(r"\s*[\r\n]+\s*", " ", text.strip()).replace("\t", " ")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def clock(seconds: float) -> str:
    """
    >>> clock(134), clock(3725)
    ('02:14', '1:02:05')
    """
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def count(num: int, noun: str) -> str:
    return f"{num} {noun}{'' if num == 1 else 's'}"


def short(where: str) -> str:
    """
    >>> short("attempts/1/logs/rank-00003.log:88")
    'logs/rank-00003.log:88'
    """
    return safe(re.sub(r"^attempts/[^/]+/", "", where))


def headline(cause: Cause) -> str:
    """`rank 3: compiles alone`; `node h1: ...`; or the title alone where it is about the whole job."""
    who = f"node {', '.join(map(safe, cause.nodes))}" if cause.scope == "node" and cause.nodes else ""
    who = who or (named(cause.ranks) if cause.ranks and cause.scope != "job" else "")
    return said_of(who, safe(cause.title))


def said_of(who: str, title: str) -> str:
    """
    >>> said_of("rank 3", "Compiles alone"), said_of("node h1", "NCCL is old"), said_of("", "It hangs")
    ('rank 3: compiles alone', 'node h1: NCCL is old', 'It hangs')
    """
    if not who or not title:
        return title
    return f"{who}: {title[0].lower() if title[1:2].islower() else title[0]}{title[1:]}"

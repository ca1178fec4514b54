"""What a platform says of pods, tasks and jobs: kubectl's tables and descriptions, `docker inspect`, `sacct`, Modal's task logs.

Its words are known wherever they stand; a file that has them near its start, and nothing of torch's, is its own.

>>> from io import BytesIO
>>> line = b"4m11s  Warning  Evicted  pod/w-2  The node was low on resource: memory. Threshold quantity: 100Mi"
>>> event = next(parse(Member("events.txt", len(line), lambda: BytesIO(line))))
>>> event.kind, event.where, event.data["resource"]
('platform.evicted', 'events.txt:1', 'memory')
"""  # noqa: E501

import re
from collections.abc import Iterator
from functools import cache

from diagnose import lines, logs
from diagnose.anchors import Anchors
from diagnose.log_signs import OTHERS, is_of_ranks, is_text
from diagnose.logs import Reader, read_log
from diagnose.messages import Pattern
from diagnose.model import Event, Member
from diagnose.naming import rank_of, steps
from diagnose.text import decode

EVENTS = logs.EVENTS
# How such output begins, whatever it says: a table of events or pods, a description, a job's accounting.
SIGNS = re.compile(
    r"(?m)^(?:(?:NAMESPACE +)?LAST SEEN +TYPE +REASON|(?:NAMESPACE +)?NAME +READY +STATUS|Name: {3,}\S"
    r"|\s*JobID\s.{0,200}State|CONTAINER ID +IMAGE)|\"OOMKilled\": "
)


@cache
def known() -> tuple[Anchors, tuple[Pattern, ...]]:
    """A platform's own lines, of all families, and where their words stand."""
    mine = tuple(pattern for pattern in lines.patterns() if pattern.source == "platform_log")
    return Anchors(pattern.word for pattern in mine), mine


def recognises(where: str, head: bytes) -> bool:
    names = steps(where)
    may_be = is_text(head) or (b'"OOMKilled"' in head and names[-1].endswith((".json", ".txt")))
    if not may_be or OTHERS & set(names[:-1]) or rank_of(where) is not None or names[-1] == "launcher.log":
        return False
    text = decode(head)
    if SIGNS.search(text):
        return True
    words, mine = known()
    if is_of_ranks(names[-1], head) or not words.places(head):
        return False
    return any(pattern.search(line) is not None for line in text.split("\n") for pattern in mine)


def parse(member: Member) -> Iterator[Event]:
    return read_log(member, Reader("platform_log", member.where))

"""Days: a kernel's log goes back for weeks, and what it said before the job is not of the job. Pure.

Stamps without a year or a zone do for that: days are compared as the calendar has them, a day more or less.
What is days away counts all the same where the kernel's log ends before the job: it was taken another time.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date

from diagnose.model import Event, line_of

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAY = re.compile(
    rb"(?<!\d)(?:19|20)\d\d[-/](?P<m>\d\d)[-/](?P<d>\d\d)[T _]\d\d:\d\d"
    rb"|\b[IWEF](?P<gm>\d\d)(?P<gd>\d\d) \d\d:\d\d:\d\d"
    rb"|\b(?P<name>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) {1,2}(?P<nd>\d{1,2}) \d\d:\d\d:\d\d"
)
EDGE = 64 << 10  # bytes at either end of a log in which a stamp is looked for
YEAR = 366
LONGEST = 180  # days that a job may run
APART = 1  # days that zones and a night's run may put between two logs


def number(found: re.Match[bytes]) -> int | None:
    """The day of the year of one stamp; None where there is no such day."""
    month = found["m"] or found["gm"]
    named = found["name"]
    try:
        at = MONTHS.index(named.decode()) + 1 if named else int(month)
        return date(2024, at, int(found["d"] or found["gd"] or found["nd"])).timetuple().tm_yday
    except ValueError:
        return None


def first(text: bytes) -> int | None:
    """The day of the year of the first stamp.

    >>> first(b"Feb 25 04:11:09 gx7 kernel:"), first(b"E0304 11:41:09.2 300 api.py:869]"), first(b"May 3")
    (56, 64, None)
    """
    return next((day for found in DAY.finditer(text) if (day := number(found)) is not None), None)


def last(text: bytes) -> int | None:
    """The day of the year of the last stamp."""
    told = [day for found in DAY.finditer(text) if (day := number(found)) is not None]
    return told[-1] if told else None


def apart(one: int, other: int) -> int:
    """How many days lie between two of the calendar, the short way round.

    >>> apart(365, 2), apart(56, 64)
    (3, 8)
    """
    return min((one - other) % YEAR, (other - one) % YEAR)


def of_the_job(events: Sequence[Event]) -> Sequence[Event]:
    """The events without what a kernel's log said on other days than the job's, where it goes on after that.

    The job's days are those from the first to the last stamp of its logs.
    """
    span = days_of([e for e in events if e.kind == "log.read"])
    logs = {e.where: e for e in events if e.kind == "kernel.read"} if span else {}
    return [e for e in events if not is_past(e, logs.get(line_of(e)[0]), span)] if logs else events


def days_of(logs: Iterable[Event]) -> set[int]:
    found: set[int] = set()
    for event in logs:
        told = event.data.get("days")
        begun, ended = told if isinstance(told, list) and len(told) == 2 else (None, None)
        if not isinstance(begun, int) or not isinstance(ended, int):
            continue
        if (ended - begun) % YEAR > LONGEST:  # its stamps are not in order
            return set()
        found |= {(begun + n - 1) % YEAR + 1 for n in range((ended - begun) % YEAR + 1)}
    return found


def is_past(event: Event, log: Event | None, span: set[int]) -> bool:
    """Whether it was said days away from the job, in a log that then tells of the job's days or of a boot."""
    day = event.data.get("day")
    if log is None or not isinstance(day, int) or event is log or near(day, span):
        return False
    days, boots = log.data.get("days"), log.data.get("boots")
    goes_on = isinstance(days, list) and any(isinstance(one, int) and near(one, span) for one in days)
    line = line_of(event)[1]
    booted = isinstance(boots, list) and any(isinstance(one, int) and one > line for one in boots)
    return goes_on or booted


def near(day: int, span: set[int]) -> bool:
    return any(apart(day, one) <= APART for one in span)

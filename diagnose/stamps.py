"""Time stamps as logs have them. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone

GLOG = re.compile(
    r"[IWEF](?P<month>\d{1,2}?)(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d)(?P<part>\.\d{1,9})?(?: |$)"
)
ZONE = re.compile(r"(?P<at>.*?) ?(?P<zone>Z|UTC|[+-]\d\d:?\d\d)?")


def seconds(stamp: str, year: int | None = None) -> float | None:
    """A time stamp in unix seconds; one without a zone counts as UTC, one without a year needs `year`.

    glog's month is not padded, its day is: `E616` is 16 June.

    >>> seconds("2026-08-24T10:00:00.5+02:00") == seconds("2026-08-24 08:00:00,500")
    True
    >>> seconds("E616 10:00:00.25", 2026) == seconds("2026-06-16 10:00:00.25")
    True
    >>> seconds("2026-99-99 10:00:00"), seconds("E616 10:00:00")
    (None, None)
    """
    try:
        if found := GLOG.match(stamp):
            if year is None:
                return None
            clock = f"{year:04}-{int(found['month']):02}-{found['day']}T{found['clock']}"
            return (
                datetime.fromisoformat(clock).replace(tzinfo=UTC).timestamp() + float(found["part"] or 0) % 1
            )
        split = ZONE.fullmatch(stamp.strip().replace(",", ".").replace("_", "T", 1))
        if not split:
            return None
        body, _, part = split["at"].partition(".")
        when = datetime.fromisoformat(body).replace(tzinfo=zone(split["zone"]))
        return when.timestamp() + (float(f"0.{part}") if part.isdecimal() else 0.0)
    except (ValueError, OverflowError):
        return None


def zone(name: str | None) -> timezone:
    if name is None or name in {"Z", "UTC"}:
        return UTC
    hours, minutes = int(name[1:3]), int(name[-2:])
    return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if name[0] == "-" else 1))


def has_zone(stamp: str) -> bool:
    """Whether a stamp tells its time zone: only then it may be compared with other clocks."""
    return bool((found := ZONE.fullmatch(stamp.strip())) and found["zone"])

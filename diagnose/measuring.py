"""Figures of two records, each with its spread where it has one. Pure."""

from collections.abc import Iterator, Sequence
from statistics import median

from diagnose.comparison import Figure, Span
from diagnose.differing import at, number
from diagnose.model import Record


class Metric(Record, frozen=True):
    """One figure. Of figures by rank the median counts, and the ranks are its spread."""

    path: str
    title: str
    unit: str
    names: str = ""
    low: str = ""  # where its spread lies in the record
    high: str = ""
    differs_from_share: float | None = None  # none: one sample is shown, and proves nothing
    differs_from: float = 0.0


def figures(metrics: Sequence[Metric], plain: Sequence[object]) -> Iterator[Figure]:
    """Of two records as plain data; what neither tells is left out."""
    for metric in metrics:
        if metric.names:
            rows = [at(one, metric.path) for one in plain]
            entries = [
                n for n in metric.names.split("|") if any(isinstance(r, dict) and n in r for r in rows)
            ]
            for entry in entries:
                path, title = f"{metric.path}.{entry}", f"{metric.title} {entry}"
                yield from figure(metric, path, title, plain)
        else:
            yield from figure(metric, metric.path, metric.title, plain)


def figure(metric: Metric, path: str, title: str, plain: Sequence[object]) -> Iterator[Figure]:
    was, now = (span(metric, path, one) for one in plain)
    if was is None and now is None:
        return
    ratio = now.value / was.value if was and now and was.value > 0 else None
    yield Figure(path, title, metric.unit, was, now, ratio and round(ratio, 3), differs(metric, was, now))


def span(metric: Metric, path: str, record: object) -> Span | None:
    found = at(record, path)
    if isinstance(found, list):
        values = [value for one in found if (value := number(one)) is not None]
        return Span(median(values), min(values), max(values)) if values else None
    value = number(found)
    if value is None:
        return None
    low, high = (number(at(record, end)) if end else None for end in (metric.low, metric.high))
    return Span(value, low, high)


def differs(metric: Metric, was: Span | None, now: Span | None) -> bool | None:
    """Whether the spreads are apart, and the values too by what the playbook asks for."""
    if metric.differs_from_share is None or was is None or now is None:
        return None
    if was.low is None or was.high is None or now.low is None or now.high is None:
        return None
    by = abs(now.value - was.value)
    is_apart = was.high < now.low or now.high < was.low
    return is_apart and by >= metric.differs_from and by >= metric.differs_from_share * was.value

"""Moments of one measurement on a line of time: every value whose name ends in `_at_s`."""

from collections.abc import Iterator, Mapping

from diagnose.model import Scalar
from diagnose.render.rows import Row, clock

WIDTH = 30  # characters of the longest bar
MARK = "#"


def moments(values: Mapping[str, Scalar]) -> list[tuple[float, str]]:
    """When what happens, in order.

    >>> moments({"dump_lands_at_s": 616.0, "platform_ends_at_s": 300, "first": "x", "killed_at_s": None})
    [(300.0, 'platform ends'), (616.0, 'dump lands')]
    """
    found = [
        (float(value), key.removesuffix("_at_s").replace("_", " "))
        for key, value in values.items()
        if key.endswith("_at_s") and isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return sorted(found)


def rows(title: str, values: Mapping[str, Scalar]) -> Iterator[Row]:
    """A bar for each moment, as long as it is late; none where there are fewer than two.

    >>> for row in rows("a hang", {"dump_lands_at_s": 600.0, "platform_ends_at_s": 300}):
    ...     print(row.text)
    a hang
       05:00  platform ends  ###############
       10:00  dump lands     ##############################
    """
    found = moments(values)
    if len(found) < 2:
        return
    last, wide = max(found[-1][0], 1.0), max(len(word) for _, word in found)
    yield Row(title, role="head")
    for at, word in found:
        yield Row(f"{clock(at):>8}  {word:<{wide}}  {bar(at / last)}".rstrip(), role="code")


def bar(share: float) -> str:
    return MARK * max(1, round(share * WIDTH))

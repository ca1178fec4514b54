"""Foreign values made safe to keep: what a hostile JSON file may hold never reaches an event.

Nothing here raises but `json_value`, and that ValueError alone.
"""

import json
import math
import re

import msgspec

TEXT_LIMIT = 64 << 10


def integer(value: object) -> int | None:
    """A whole number of at most 63 bits, given as number or as text.

    >>> integer("12"), integer(3), integer(True), integer("1e3"), integer(1 << 80)
    (12, 3, None, None, None)
    """
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        value = int(value)
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63
        else None
    )


def number(value: object) -> float | None:
    """A finite number, given as number or as text.

    >>> number("1.5"), number(float("nan")), number([])
    (1.5, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value) if not isinstance(value, str) or len(value) < 40 else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def string(value: object, limit: int = 2000) -> str:
    """Text that can be written as UTF-8, cut at `limit`; empty for anything else."""
    return value[:limit].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def plain(value: object, depth: int = 12) -> object:
    """A foreign JSON value made safe to keep and to write again: finite, whole, of limited depth.

    >>> plain({"a": [1, float("inf"), 1 << 90], "b": "\\ud800"})
    {'a': [1, None, None], 'b': '?'}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        return string(value, TEXT_LIMIT)
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {string(key): plain(item, depth - 1) for key, item in value.items()}
    return [plain(item, depth - 1) for item in value] if isinstance(value, list | tuple) else None


PYTHONS = json.JSONDecoder(strict=False)


def json_value(data: bytes | str) -> object:
    """The JSON value, also with Python's NaN and Infinity. Raises ValueError, whatever is wrong."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return PYTHONS.decode(data if isinstance(data, str) else data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ValueError(reason(error)) from None


def reason(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]

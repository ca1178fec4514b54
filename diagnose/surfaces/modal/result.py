"""What a function returned, kept with its run: in the manifest, and what is large for that in `result.json`.

>>> shown({"loss": float("nan"), "shape": (2, 3), "raw": b"ok", 7: {1}})
{'loss': 'nan', 'shape': [2, 3], 'raw': 'ok', '7': [1]}
"""

import math
from pathlib import Path

import msgspec

from diagnose.values import integer, string
from probes.files import atomic_write
from probes.redact import redact_value

FILE = "result.json"
PART_LIMIT, FILE_LIMIT = 64 << 10, 16 << 20  # bytes in the manifest for each key, and of the file
MOST_ITEMS, REPR_LIMIT = 100_000, 2000


def keep(run: Path, value: object) -> object:
    """What the manifest says of it. Secrets are hidden. Raises OSError."""
    found = redact_value(shown(value))
    parts = found if isinstance(found, dict) and len(found) <= 100 else {"value": found}
    large = {name for name, part in parts.items() if len(msgspec.json.encode(part)) > PART_LIMIT}
    if not large:
        return found
    data = msgspec.json.encode(found)
    if len(data) > FILE_LIMIT:
        return parts | {name: {"left_out": "too large to be kept"} for name in large}
    atomic_write(run / FILE, data + b"\n")
    return parts | {name: {"kept_in": FILE} for name in large}


def shown(value: object, depth: int = 12) -> object:
    """Any Python value as plain JSON; what has no form there is its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return integer(value) if integer(value) is not None else f"{value:#x}"[:REPR_LIMIT]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        return string(value, FILE_LIMIT)
    if isinstance(value, bytes | bytearray):
        return value[:FILE_LIMIT].decode("utf-8", "replace")
    if depth and isinstance(value, dict):
        pairs = list(value.items())[:MOST_ITEMS]
        return {text(key): shown(item, depth - 1) for key, item in pairs}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [shown(item, depth - 1) for item in list(value)[:MOST_ITEMS]]
    return text(value)


def text(value: object) -> str:
    try:
        return string(value if isinstance(value, str) else repr(value), REPR_LIMIT)
    except Exception:  # a class of theirs
        return type(value).__name__

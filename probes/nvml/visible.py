"""Which GPUs a job may see: `CUDA_VISIBLE_DEVICES`, as CUDA reads it."""

import re
from collections.abc import Mapping, Sequence

CUDA = "CUDA_VISIBLE_DEVICES"
ENTRY = re.compile(r"-?\d{1,4}\Z|GPU-[0-9a-fA-F-]{1,36}\Z|MIG-[0-9A-Za-z/-]{1,90}\Z")


def indices(environ: Mapping[str, str], uuids: Sequence[str]) -> tuple[int, ...] | None:
    """The GPUs that the variable names, by their number; None where it names all, or cannot be read.

    >>> indices({"CUDA_VISIBLE_DEVICES": "2,GPU-0a"}, ["GPU-0a", "GPU-1b", "GPU-2c"])
    (0, 2)
    """
    value = environ.get(CUDA)
    entries = before_end([part.strip() for part in value.split(",")]) if value and value.strip() else []
    found = {index(entry, uuids) for entry in entries}
    numbers = sorted(num for num in found if isinstance(num, int))
    return tuple(numbers) if numbers and len(numbers) == len(found) else None


def before_end(entries: list[str]) -> list[str]:
    """CUDA reads up to the first entry that means no device: -1 hides all that follow."""
    ends = [num for num, part in enumerate(entries) if part.startswith("-")]
    return entries[: ends[0]] if ends else entries


def index(entry: str, uuids: Sequence[str] | None) -> int | str | None:
    """Which of the GPUs an entry means; a MIG instance is taken as it is."""
    if entry.startswith("MIG-"):
        return entry
    if entry.isdigit():
        return int(entry) if int(entry) < len(uuids or []) else None
    found = [num for num, uuid in enumerate(uuids or []) if entry and uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None

"""Values of two records side by side, as versions, numbers, flags; what one lacks is not known. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from diagnose import flags
from diagnose.model import Record, size
from probes.redact import HIDDEN

NOT_SET = "not set"
SINGLE = "single"  # what no run of several ranks becomes
UNKNOWN_YET = {"own", "eager"}  # what a record says of several ranks, and of steps, that show nothing else


class Field(Record, frozen=True):
    """One field of the record, or some entries of one, as `playbooks/compare.toml` has it."""

    path: str
    title: str
    why: str
    can_cause: list[str]
    names: str = ""  # of a mapping: the entries whose whole name this matches
    how: str = "text"  # text | version | number | bytes | counts | counts_of_bytes | set | flags
    alias: str = ""
    share: float = 0.0  # numbers no further apart than this share of the larger are the same
    is_whole: bool = False  # a mapping that tells all: what it lacks is not set
    is_minor: bool = False  # told, and no difference between runs
    is_drift: bool = True  # false: what an operator asks for, or what follows from that
    grows: bool = False  # is whole only once a step is done: before, less than the other has says nothing
    bars_metrics: bool = False  # runs that differ in it are not measured against each other
    opaque: list[bool | str] = []  # values that may hide a difference where both have them


class Pair(NamedTuple):
    """One entry of two records; None: that record does not tell."""

    path: str
    before: object
    after: object
    weight: int = 0  # of two differences in one field the lighter comes later


def pairs(field: Field, before: object, after: object, taken: set[str]) -> Iterator[Pair]:
    """The entries of a field in both (plain) records; `taken` holds those that a field before had."""
    one, other = at(before, field.path), at(after, field.path)
    if field.how == "flags":
        one, other = commands(one, other)
    if not field.names:
        taken.add(field.path)
        yield Pair(field.path, read(field, one), read(field, other))
        return
    maps = [found if isinstance(found, Mapping) else {} for found in (one, other)]
    for name in sorted({str(name) for found in maps for name in found}):
        path = f"{field.path}.{name}"
        if path in taken or not re.fullmatch(field.names, name, re.S):
            continue
        taken.add(path)
        values = [found.get(name, NOT_SET if field.is_whole and found else None) for found in maps]
        was, now = (read(field, value) if value != NOT_SET else NOT_SET for value in values)
        yield Pair(path, was, now, weight(field, was, now))


def at(found: object, path: str) -> object:
    """What lies at a path of a record as plain data; of a list all values that are told."""
    for num, step in enumerate(steps := path.split(".")):
        if isinstance(found, list):
            values = [at(one, ".".join(steps[num:])) for one in found]
            return [value for value in values if value not in (None, "")]
        found = found.get(step) if isinstance(found, dict) else None
    return found


def commands(one: object, other: object) -> tuple[object, object]:
    """Two commands as mappings: flag -> its values; `words`: what is no flag."""
    if not isinstance(one, list) or not isinstance(other, list) or not (one or other):
        return None, None
    if not one or not other:
        return tuple(mapping(flags.read(words)) if words else None for words in (one, other))  # type: ignore[return-value]
    was, now = flags.both(one, other)
    return mapping(was), mapping(now)


def mapping(words: flags.Words) -> dict[str, object]:
    told: dict[str, object] = {name: " ".join(values) for name, values in words.flags.items()}
    return {**told, "words": " ".join(words.plain)}


def read(field: Field, value: object) -> object:
    """A value as it is compared; None where it is not told."""
    if value is None or value == "" or value == []:
        return None
    if field.how in {"counts", "counts_of_bytes"} and isinstance(value, list):
        found = Counter(map(size if field.how == "counts_of_bytes" else str, value))
        return ", ".join(f"{num} x {name}" for name, num in sorted(found.items()))
    if field.how == "set" and isinstance(value, list):
        return ", ".join(sorted({str(one) for one in value}))
    return value


def is_same(field: Field, before: object, after: object) -> bool:
    """Whether two told values are one; as numbers where both are.

    >>> flag = Field("arguments", "flag", "", [], how="flags")
    >>> is_same(flag, "0.1", "1e-1"), is_same(flag, "1", "01x")
    (True, False)
    """
    if before == after:
        return True
    one, other = number(before), number(after)
    if one is None or other is None or field.how == "version":
        return False
    return abs(one - other) <= field.share * max(abs(one), abs(other))


def is_part(mine: object, other: object) -> bool:
    """Whether a run that had not come to its first step may yet have got to what the other tells.

    >>> is_part("own", "fsdp2"), is_part("ddp", "ddp+tensor_parallel"), is_part("ddp", "fsdp2"), is_part(3, 12)
    (True, True, False, True)
    >>> is_part("own", "single")  # of how many ranks it is, is known before any step
    False
    """  # noqa: E501
    one, whole = number(mine), number(other)
    if one is not None and whole is not None:
        return one < whole
    parts, others = (set(re.split(r", |\+", str(value))) - UNKNOWN_YET for value in (mine, other))
    return parts < others and SINGLE not in others


def number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    is_one = isinstance(value, str) and re.fullmatch(r"-?[0-9]{0,20}\.?[0-9]{1,20}(e-?[0-9]{1,3})?", value)
    return float(value) if is_one and isinstance(value, str) else None


def is_hidden(value: object) -> bool:
    return isinstance(value, str) and HIDDEN in value


def weight(field: Field, before: object, after: object) -> int:
    """How far apart two versions are: 3 major, 2 minor, 1 patch or build; 0 for what is none."""
    return (
        {"major": 3, "minor": 2, "patch": 1, "build": 1}.get(apart(before, after), 0)
        if (field.how == "version")
        else 0
    )


def apart(before: object, after: object) -> str:
    """
    >>> apart("2.8.0+cu128", "2.9.1"), apart("12.8", "13"), apart("2.8.0", "2.8.1"), apart("2", "2+cpu")
    ('minor', 'major', 'patch', 'build')
    """
    one, other = release(before), release(after)
    if not one or not other:
        return ""
    if one == other:
        return "build"
    return next(
        name for name, was, now in zip(("major", "minor", "patch"), one, other, strict=True) if was != now
    )


def release(version: object) -> tuple[int, int, tuple[int, ...]] | None:
    found = re.match(r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})", version) if isinstance(version, str) else None
    if not found:
        return None
    parts = [int(part) for part in found[1].split(".")] + [0, 0]
    rest = tuple(parts[2:])
    return parts[0], parts[1], rest[: max((i + 1 for i, n in enumerate(rest) if n), default=0)]

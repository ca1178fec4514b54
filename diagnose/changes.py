"""Since when a field is not what it was in a good run. Pure."""

from collections.abc import Sequence

import msgspec

from diagnose.comparing import Book, provenance
from diagnose.comparison import Difference
from diagnose.contract import RunRecord


class Change(msgspec.Struct, frozen=True):
    """Where a field first was otherwise than in the good run."""

    difference: Difference
    run: str
    unsure: list[str] = []  # runs before that one which do not tell


def first_changes(good: RunRecord, later: Sequence[RunRecord], book: Book, wanted: str = "") -> list[Change]:
    """Each field's first change among later runs, oldest first; `wanted`: of this field alone."""
    found: dict[str, Change] = {}
    unsure: dict[str, list[str]] = {}
    for record in later:
        differences, unknown, _ = provenance(good, record, book)
        for untold in unknown:
            if untold.missing == "b":
                unsure.setdefault(untold.path, []).append(record.run)
        for one in differences:
            if one.path not in found and (is_wanted(one.path, wanted, book) if wanted else not one.minor):
                found[one.path] = Change(one, record.run, unsure.get(one.path, []))
    return list(found.values())


def is_wanted(path: str, wanted: str, book: Book) -> bool:
    """Whether a path is what a person calls `image`, `versions.torch` or `env.NCCL_DEBUG`."""
    return any(path == candidate or path.startswith(f"{candidate}.") for candidate in paths_of(wanted, book))


def paths_of(wanted: str, book: Book) -> set[str]:
    """The paths that are meant; empty where the playbook has no such field."""
    known = {field.path for field in book.field}
    found = {
        f"{field.path}{wanted.removeprefix(field.alias)}"
        for field in book.field
        if field.alias and (wanted == field.alias or wanted.startswith(f"{field.alias}."))
    }
    if any(
        wanted == path or wanted.startswith(f"{path}.") or path.startswith(f"{wanted}.") for path in known
    ):
        found.add(wanted)
    return found

"""Is an archive whole, and is a cache still what it was seeded with?"""

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

import msgspec

from diagnose.archive import open_regular
from diagnose.caching import archive, groups, mega, notes
from diagnose.caching.archive import Limits, digest
from diagnose.caching.manifest import Manifest, entries
from diagnose.caching.places import Cache
from diagnose.caching.words import row

NUM_TOLD = 8


class Seeded(msgspec.Struct, frozen=True):
    """A cache held against its note. New files are none of its business: a job compiles more."""

    source: str
    num_files: int
    missing: list[str]
    changed: list[str]


def whole(path: Path, limits: Limits) -> Manifest:
    """The manifest of an archive of which every byte was read. Raises Refused."""
    with archive.opened(path) as file:
        return archive.check(file, limits)


def mega_cache(path: Path) -> dict[str, int] | None:
    """What MegaCache's bytes hold; None where it is another file."""
    try:
        with open_regular(path.resolve()) as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return mega.counts(data)
    except (OSError, ValueError):  # an empty file
        return None


def seeded(cache: Cache) -> Seeded | None:
    """Which of the files that were put there are gone, or others now; None where it was never seeded."""
    note = notes.seed(cache)
    if note is None:
        return None
    folders, missing, changed = dict(cache.parts()), list[str](), list[str]()
    for one in note.manifest.files:
        part, _, inside = one.name.partition("/")
        try:
            with open_regular(folders[part] / inside) as file:
                is_same = groups.is_group(one) or digest(file) == one.sha256
            changed += [] if is_same else [one.name]
        except (OSError, KeyError):
            missing.append(one.name)
    return Seeded(note.source, len(note.manifest.files), missing, changed)


def seeded_lines(found: Seeded | None) -> Iterator[str]:
    if found is None:
        yield row("seeded", "never: nothing to hold it against")
        return
    yield row("seeded", f"from {found.source}, {found.num_files} files")
    for what, names in (("missing", found.missing), ("changed", found.changed)):
        yield from (row(what, name) for name in names[:NUM_TOLD])
        if len(names) > NUM_TOLD:
            yield row("", f"{len(names) - NUM_TOLD} more")


def mega_lines(found: dict[str, int]) -> Iterator[str]:
    yield row(
        "archive", "MegaCache: torch.compiler.load_cache_artifacts in the program loads it, seed does not"
    )
    for kind, num in found.items():
        yield row("", f"{kind:14}{entries(num)}")

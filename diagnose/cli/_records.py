"""Run records for commands that hold runs against each other."""

import socket
from collections.abc import Iterator
from pathlib import Path

import click

from diagnose import changes, comparing, event_lines, follow, manifest, record, runs
from diagnose.changes import Change
from diagnose.comparing import Book
from diagnose.contract import RunRecord
from diagnose.render.comparison import change
from diagnose.render.rows import safe


def of(given: str, root: str | None) -> RunRecord:
    """The record of the run that is meant, built where its writer left none. Raises ClickException."""
    try:
        path = runs.resolve(given, runs.root(root))
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None
    found = read(path)
    if found is None:
        raise click.ClickException(f"{given}: no run record, and no run directory to make one of")
    return found


def read(path: Path) -> RunRecord | None:
    """Of a run directory, or of a `record.json` alone; None where there is neither."""
    if path.is_file():
        path = path.parent if path.name == "record.json" else path
        if path.is_file():
            return record.of_file(path)
    if kept := record.read(path):
        return kept
    found = follow.settle(path, socket.gethostname()) if manifest.path(path).is_file() else None
    return record.build(found, event_lines.lines(path)) if found else None


def since(good: str, wanted: str, root: str | None) -> tuple[list[str], int]:
    """Lines about the first run after GOOD in which a field is not what it was there, and the exit code."""
    book = comparing.load()
    if wanted and not changes.paths_of(wanted, book):
        names = sorted({field.alias or field.path for field in book.field})
        raise click.BadParameter(f"{wanted}: there are {', '.join(names)}", param_hint="--field")
    then = of(good, root)
    later = [one for one in after(then, runs.root(root)) if comparing.same_kind(then, one)]
    if not later:
        return [f"no run of the same kind since {safe(then.run)}"], 3
    found = changes.first_changes(then, later, book, wanted)
    if found:
        return list(lines(found)), 1
    silent = untold(then, later, book, wanted)
    if silent:
        return [f"could not tell: {', '.join(map(safe, silent))} not told in all of {len(later)} runs"], 3
    what = safe(wanted) if wanted else "nothing that is told"
    return [f"{what} has {'not ' if wanted else ''}changed in {len(later)} runs since {safe(then.run)}"], 0


def after(good: RunRecord, top: Path) -> list[RunRecord]:
    """The runs that began later, the oldest first."""
    found = [one for path, _ in runs.listed(top) if (one := read(path)) and one.run != good.run]
    return sorted(
        (one for one in found if (one.started or 0.0) > (good.started or 0.0)), key=lambda r: r.started or 0.0
    )


def untold(good: RunRecord, later: list[RunRecord], book: Book, wanted: str) -> list[str]:
    """What one asked for and some run does not tell."""
    paths = set[str]()
    for one in later if wanted else ():
        _, unknown, neither = comparing.provenance(good, one, book)
        told = [*(row.path for row in unknown), *neither]
        paths |= {path for path in told if changes.is_wanted(path, wanted, book)}
    return sorted(paths)


def lines(found: list[Change]) -> Iterator[str]:
    """A line a field, in the order of the runs."""
    width = max(len(safe(one.run)) for one in found)
    for one in found:
        told = one.difference
        unsure = f"  (not told in {len(one.unsure)} before it)" if one.unsure else ""
        yield f"{safe(one.run):{width}}  {safe(told.title)}: {change(told)}{unsure}"

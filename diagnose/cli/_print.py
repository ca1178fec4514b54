"""What the reading commands share: errors in one line, and the three forms."""

import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import TypeVar

import click

from diagnose.bundle import BundleError
from diagnose.contract import Volume
from diagnose.playbook import Playbook
from diagnose.render import explained, json, markdown, terminal
from diagnose.render.rows import safe
from diagnose.verdict import Verdict

T = TypeVar("T")


def read(work: Callable[[], T]) -> T:
    """What was read, a verdict most often, or one line about what cannot be read."""
    try:
        return work()
    except BundleError as error:
        raise click.ClickException(str(error)) from None


def failure(given: str, book: Playbook) -> str:
    """The id of the failure that is meant. Raises ClickException where none is."""
    name = given.strip().lower().replace("-", "_")
    if name not in book.failures:
        near = get_close_matches(name, book.failures, n=3, cutoff=0.4)
        near += [other for other in book.failures if name and name in other and other not in near]
        hint = f"; did you mean {', '.join(near[:4])}?" if near else "; `diagnose explain` lists all"
        raise click.ClickException(f"no failure is called {given}{hint}")
    return name


def volume(one: Volume) -> str:
    """
    >>> volume(Volume("/mnt/d", "nfs4", "srv:/d", True, {"data": "/mnt/d/x.bin"}))
    '/mnt/d (nfs4, srv:/d, remote): data /mnt/d/x.bin'
    """
    what = ", ".join(filter(None, (one.filesystem, one.volume, "remote" if one.remote else "")))
    held = "; ".join(f"{kind} {path}" for kind, path in sorted(one.holds.items()))
    return safe(f"{one.point} ({what}): {held}")


def verdict(found: Verdict, book: Playbook, form: str, full: bool) -> int:
    """Print it to stdout; the exit code that says the same."""
    if form == "json":
        click.echo(json.render(found), nl=False)
    elif form == "markdown" and not found.explained:
        click.echo(markdown.render(found, book, full), nl=False)
    elif found.explained:
        click.echo(explained.render(found.explained), nl=False)
    else:
        columns = terminal.width(sys.stdout.isatty())
        terminal.show(terminal.render(found, book, columns, full))
    return found.exit_code()

"""What the reading commands share: errors in one line, and the three forms."""

import sys
from collections.abc import Callable
from typing import TypeVar

import click

from diagnose.bundle import BundleError
from diagnose.playbook import Playbook
from diagnose.render import json, markdown, terminal
from diagnose.verdict import Verdict

T = TypeVar("T")


def read(work: Callable[[], T]) -> T:
    """What was read, a verdict most often, or one line about what cannot be read."""
    try:
        return work()
    except BundleError as error:
        raise click.ClickException(str(error)) from None


def verdict(found: Verdict, book: Playbook, form: str, full: bool) -> int:
    """Print it to stdout; the exit code that says the same."""
    if form == "json":
        click.echo(json.render(found), nl=False)
    elif form == "markdown":
        click.echo(markdown.render(found, book, full), nl=False)
    else:
        columns = terminal.width(sys.stdout.isatty())
        terminal.show(terminal.render(found, book, columns, full))
    return found.exit_code()

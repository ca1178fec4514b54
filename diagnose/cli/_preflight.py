"""Pre-flight, for its own command and for `run --preflight`: made with a line of progress, and shown."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from diagnose import runs
from diagnose.playbook import PlaybookError
from diagnose.preflight import asking, book, measured, running, saving
from diagnose.preflight.book import Book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Measured, Target
from diagnose.preflight.report import Report, encode
from diagnose.render import checks, junit, markdown, terminal
from diagnose.terminal import Screen

ANYWAY = "the command is started all the same"


@dataclass
class Interruption:
    """Ctrl-C or SIGTERM: what there is by then is judged. `code` is what to exit with, 0 without one."""

    code: int = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {signum: signal.signal(signum, self.hear) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def hear(self, signum: int, frame: object) -> None:
        self.code = 128 + signum
        raise KeyboardInterrupt


def chosen(known: Book, only: Sequence[str], skip: Sequence[str]) -> list[str]:
    """The checks that are meant; all where none is named. Raises UsageError."""
    try:
        mine = book.choose(split(only), known) if only else set(known.checks)
        left = mine - book.choose(split(skip), known)
    except PlaybookError as error:
        raise click.UsageError(str(error)) from None
    if not left:
        raise click.UsageError("no check is left")
    return sorted(left)


def split(words: Sequence[str]) -> list[str]:
    """`D01,storage` and several options alike."""
    return [part for word in words for part in word.split(",") if part.strip()]


def target(
    known: Book, command: Sequence[str], gpu: str, folders: Sequence[str], settings: Sequence[str], level: str
) -> Target:
    """What is to be run. Raises UsageError."""
    try:
        return asking.target(command, os.environ, gpu, folders, settings, level, known.settings.platform)
    except asking.BadWish as error:
        raise click.UsageError(str(error)) from None


def make(
    known: Book, names: list[str], wanted: Target, without: Sequence[str] = (), folder: Path | None = None
) -> Measured:
    """Make the checks, with a line of progress on a terminal. Raises UsageError.

    `folder`: where the report will be kept, and until then what was measured.
    """
    screen, begun = Screen(), time.monotonic()

    def told(num_made: int, last: str) -> None:
        passed = time.monotonic() - begun
        screen.progress(
            f"checking: {num_made} of {max(num_made, len(names))}, {passed:.0f} s  {last.replace('_', ' ')}"
        )

    budget_s = known.settings.budget_s[wanted.level]  # type: ignore[index]
    try:
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        wish = running.Wish(names, wanted, budget_s, without, folder and folder / saving.LINES)
        return running.run(wish, told)
    except running.Refused as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"the checks cannot be started: {error.strerror or error}") from None
    finally:
        screen.wipe()


def stored(path: Path) -> Measured:
    """What was measured earlier. Raises ClickException."""
    try:
        return measured.read(path)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        at = getattr(error, "filename", None) or path
        raise click.ClickException(f"{at}: {reason}") from None


def show(report: Report, form: str, full: bool) -> None:
    """Print it to stdout."""
    if form == "json":
        click.echo(encode(report).decode(), nl=False)
    elif form == "junit":
        click.echo(junit.render(report), nl=False)
    elif form == "markdown":
        click.echo(markdown.lay(checks.page(report, full)), nl=False)
    else:
        terminal.show(terminal.lay(checks.page(report, full), terminal.width(sys.stdout.isatty())))


def gate(level: str, words: Sequence[str], root: Path, folder: Path | None = None) -> Report | None:
    """A pre-flight before a launch, told on stderr; one in which something failed is kept below `root`.

    None where it could not be made. That, and a probe that died, are told and stop no launch: only what was
    measured does. `folder`: where it is kept instead.
    """
    known = book.load()
    names = sorted(name for name, check in known.checks.items() if not check.by_run)
    try:
        found = make(known, names, target(known, words, "", (), (), level), folder=folder)
    except click.ClickException as error:
        click.echo(f"diagnose: preflight: could not tell: {error.message}; {ANYWAY}", err=True)
        return None
    report = judge(found, known)
    if report.exit_code == 1 or report.measured.how == "interrupted":
        terminal.show(terminal.lay(checks.page(report), terminal.width(sys.stderr.isatty())), err=True)
        keep(report, root, folder)
    elif found.how == "lost":
        unmade = f"its probe ended before {len(found.unmade())} of {len(names)} checks were made"
        click.echo(f"diagnose: preflight: could not tell: {unmade}; {ANYWAY}", err=True)
    else:
        click.echo(f"diagnose: preflight: {checks.said(report)}", err=True)
    return report


def keep(report: Report, root: Path, run: Path | None = None) -> None:
    """Save it; where that cannot be, say so."""
    try:
        folder = saving.save(report, root, run)
    except OSError as error:
        click.echo(f"diagnose: the report is not kept in {run or root}: {error.strerror or error}", err=True)
    else:
        if run is None:
            click.echo(f"diagnose: {folder.name} in {root}", err=True)


def costs(words: Sequence[str]) -> list[str]:
    """What is to be left out. Raises UsageError."""
    known = ("signals", "pauses", "gpu_memory", "kernels", "writes_disk", "network", "ranks")
    if strange := set(split(words)) - set(known):
        raise click.UsageError(f"no such cost: {', '.join(sorted(strange))}; known: {', '.join(known)}")
    return split(words)


def earlier(given: str, top: Path, known: Book) -> tuple[str, Report]:
    """What is to be compared with, read before anything is measured. Raises ClickException."""
    try:
        return saving.earlier(given, top, known)
    except (runs.NoRun, OSError, ValueError) as error:
        raise click.ClickException(f"nothing to compare with: {error}") from None


def compared(report: Report, name: str, then: Report, known: Book) -> Report:
    """The report, with what differs from an earlier one."""
    found = list(saving.differences(report, then, known.settings.changed_share))
    return msgspec.structs.replace(report, compared_with=name, differences=found)

"""`modal preflight`: checks made in a container, and told here as if they had been made here."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from diagnose import manifest, runs
from diagnose.cli import _preflight
from diagnose.preflight import book
from diagnose.preflight.book import Book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Measured
from diagnose.preflight.report import Report
from diagnose.render.rows import safe
from diagnose.surfaces.modal import checked, launching, settings
from diagnose.terminal import Screen

UNKNOWN = 3
Then = tuple[str, Report] | None  # an earlier report that is compared with


def execute(words: Sequence[str], given: Mapping[str, Any]) -> int:
    """All of it; the code to exit with. Raises BadSetting, Unreachable, click's own."""
    known, top = book.load(), runs.root(given["root"])
    names, level = chosen(known, given), given["level"] or "default"
    options = there(known, level, given)
    queue_s = settings.seconds(given["wait"])
    then = _preflight.earlier(given["compare"], top, known) if given["compare"] else None
    what = launching.asked_checks(words, given, options, known.settings.budget_s[level])  # type: ignore[index]
    if given["dry_run"]:
        for line in launching.plan(what):
            click.echo(line)
        return 0
    run = launching.begin(what, given["root"])
    for line in launching.hand_over(run, what, top):
        click.echo(line, err=True)
    limit_s = what.settings.timeout_s + launching.SPARE_S
    code, why = waited(run, queue_s, limit_s)
    if why:
        click.echo(f"diagnose: {why}", err=True)
    shown = told(run, known, names, then, given["form"], given["verbose"])
    return code or shown


def chosen(known: Book, given: Mapping[str, Any]) -> list[str]:
    """The checks that are meant. What `launch` sees to itself is left out, unless it is named."""
    names = _preflight.chosen(known, given["only"], given["skip"])
    return names if given["only"] else [name for name in names if not known.checks[name].by_run]


def there(known: Book, level: str, given: Mapping[str, Any]) -> list[str]:
    """What the command in the container is called with; refused here where it would be there."""
    costs = _preflight.costs(given["without"])
    _preflight.target(known, (), given["gpu"], given["folders"], given["settings"], level)
    words = [] if level == "default" else [f"--{level}"]
    if given["gpu"]:
        words += ["--gpu", launching.gpu(given["gpu"])]
    skip = [*given["skip"], *(name for name, check in known.checks.items() if check.by_run)]
    words += [part for one in given["only"] for part in ("--only", one)]
    words += [part for one in (given["skip"] if given["only"] else skip) for part in ("--skip", one)]
    if costs:
        words += ["--exclude-cost", ",".join(costs)]
    words += [part for folder in given["folders"] for part in ("--path", folder)]
    return words + [part for one in given["settings"] for part in ("--set", one)]


def waited(run: Path, queue_s: float, limit_s: float) -> tuple[int, str]:
    """Wait for its end: (128 + the signal that ended the waiting, or 0; why it was given up, if it was)."""
    from diagnose.surfaces.modal import awaiting

    interruption, screen = _preflight.Interruption(), Screen()
    try:
        with interruption.listening():
            why = awaiting.wait(run, queue_s, limit_s, progress(screen))
    except KeyboardInterrupt:
        why = f"interrupted ({signal.Signals(interruption.code - 128).name})"
    finally:
        screen.wipe()
    if not why:
        return 0, ""
    failed = awaiting.stop(run, at_once=not interruption.code)
    after = f"Modal could not be asked to end it: {failed}" if failed else "Modal was asked to end it"
    return interruption.code, f"{why}; {after}"


def progress(screen: Screen) -> Callable[[str], None]:
    begun = time.monotonic()
    return lambda text: screen.progress(f"preflight on Modal: {text}, {time.monotonic() - begun:.0f} s")


def told(run: Path, known: Book, names: Sequence[str], then: Then, form: str, full: bool) -> int:
    """Print the report of a run that is over, and keep it; the code that says the same.

    Where there is none, or one of a container that did not come to its end, one line says why.
    """
    found = checked.find(run, names)
    if found is not None:
        report = judge(found, known)
        if then:
            report = _preflight.compared(report, *then, known)
        _preflight.keep(report, run.parent, run)
        _preflight.show(report, form, full)
        if found.how == "ended":
            return report.exit_code
    click.echo(f"diagnose: {ended(run, found)}", err=True)
    return 1 if found is not None and report.exit_code == 1 else UNKNOWN


def collected(run: Path, form: str, full: bool) -> int:
    """The same of a run that somebody collects, which may not be over."""
    known = book.load()
    state = manifest.read(run)
    if state and state.state not in {*manifest.FINAL, "lost"}:
        click.echo("diagnose: the checks are being made, or wait for a container", err=True)
        return UNKNOWN
    return told(run, known, (), None, form, full)


def ended(run: Path, found: Measured | None) -> str:
    """What became of a pre-flight that did not come to its end."""
    state = manifest.read(run)
    why = safe(state.transitions[-1].reason) if state and state.transitions else ""
    begun = ", ".join(map(safe, checked.under_way(run, found)[:3])) if found else ""
    what = "no check was made that is known of" if found is None else "not all checks were made"
    what = f"it ended while {begun} was being made" if begun else what
    how = f": {why or state.state}" if state else ""
    return f"{what}{how}; what else is known: diagnose modal collect {launching.where(run, run.parent)}"

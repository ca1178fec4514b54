"""One visit to a job that is already silent: on this host, or wherever else its ranks can be reached."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from diagnose.cli import _options

if TYPE_CHECKING:
    from diagnose.attaching import Choice, Job, Options

F = TypeVar("F", bound=Callable[..., Any])
Complain = Callable[[str], None]


class Place(NamedTuple):
    """Where the ranks are; `command` names it on a command line. `look` may raise what it cannot do."""

    command: str  # "diagnose attach"
    words: str  # "on this host"
    find: "Callable[[Sequence[int]], Choice]"
    look: "Callable[[Path, Job, Options, Complain], None]"
    noted: dict[str, object] = {}  # of the manifest


OPTIONS = (
    click.option(
        "--rank", "ranks", type=click.IntRange(min=0), multiple=True, help="Only this rank; may repeat."
    ),
    click.option("--signal", "may_signal", is_flag=True, help="Allow what makes the ranks themselves write."),
    click.option("--native", is_flag=True, help="C++ frames, too; pauses each rank for about a second."),
    click.option(
        "--stall-after",
        type=_options.Finite(min=1),
        metavar="S",
        help="Silence after which a rank that is at work is to blame, too (default: 120 s).",
    ),
    click.option("--root", help="Where the evidence is kept (default: $DIAGNOSE_ROOT, else ./runs)."),
    click.option("--name", help="What the visit is called (default: attach-PROGRAM)."),
    click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal"),
    click.option("-v", "--verbose", is_flag=True, help="Leave nothing out."),
)


def options(command: F) -> F:
    """The options that every visit has."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def complain(line: str) -> None:
    click.echo(f"diagnose: {line}", err=True)


def visit(
    ctx: click.Context,
    place: Place,
    pids: tuple[int, ...],
    /,
    *,
    ranks: tuple[int, ...],
    may_signal: bool,
    native: bool,
    stall_after: float | None,
    root: str | None,
    name: str | None,
    form: str,
    verbose: bool,
) -> None:
    """Find, choose, look, judge, print; ends with the exit code."""
    from diagnose import attaching, playbook, runs
    from diagnose.cli import _print

    book = playbook.load()
    found = place.find(pids)
    for reason in found.refused:
        complain(reason)
    if not found.jobs and not found.wrong:
        if not found.refused:
            complain(f"no ranks {place.words}: no process of a job carries RANK or has loaded torch")
        ctx.exit(_print.verdict(attaching.nothing("."), book, form, verbose) if form == "json" else 3)
    job = meant(place, found, ranks)
    if any(one["how"] == "order" for one in job["ranks"]):
        complain("these ranks carry no number: they are counted in the order in which they were started")
    chosen = attaching.Options(may_signal, native, stall_after or book.limits.stall_after_s)
    top = runs.root(root)
    try:
        run = attaching.begin(top, name, job, time.time(), **place.noted)
    except OSError as error:
        raise click.ClickException(
            f"cannot make a run directory in {top}: {error.strerror or error}; choose another by --root"
        ) from None
    try:
        place.look(run, job, chosen, complain)
    except BaseException:
        if not (run / "attempts").exists():  # nothing was taken
            shutil.rmtree(run, ignore_errors=True)
        raise
    verdict = attaching.judge(run, book, complain)
    code = _print.verdict(verdict, book, form, verbose)
    complain("\ndiagnose: ".join([*attaching.early(verdict, chosen), f"evidence and verdict: {run}"]))
    ctx.exit(code)


def meant(place: Place, found: "Choice", ranks: Sequence[int]) -> "Job":
    """The one job, with only these ranks. Raises ClickException."""
    from diagnose import attaching

    if found.wrong:
        raise click.ClickException("; ".join(found.wrong))
    lines = attaching.listed(found.jobs, time.time(), place.command)
    if len(lines) > 1:
        raise click.ClickException("\n  ".join([f"{len(lines)} jobs; name one by a PID:", *lines]))
    job = attaching.narrowed(found.jobs[0], ranks)
    if not job["ranks"]:
        raise click.ClickException(f"no process here is that rank; {lines[0]}")
    return job

"""Run a command on Modal with its ranks watched; collect what it left, wherever it ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from diagnose.cli import _container, _options, _visit

NEEDED = "Modal's client is not installed: pip install 'gpu-diagnose[modal]'"
ROOT = click.option("--root", help="Where run directories lie (default: $DIAGNOSE_ROOT, else ./runs).")


@click.group()
def command() -> None:
    """Launch a command on Modal under the agent, and bring here what it leaves.

    First `launch` (`--dry-run` says what it costs), then `collect`, at any time and as often as wanted.
    Credentials are those of Modal's own client: `modal token new`, or MODAL_TOKEN_ID and MODAL_TOKEN_SECRET.
    """


@contextmanager
def client() -> Iterator[None]:
    """What needs Modal's client, imported only in here; what cannot be done is one line."""
    from diagnose.surfaces.modal.outcome import Unreachable
    from diagnose.surfaces.modal.settings import BadSetting

    try:
        yield
    except ModuleNotFoundError as error:
        raise click.ClickException(NEEDED if error.name == "modal" else str(error)) from None
    except (BadSetting, Unreachable) as error:
        raise click.ClickException(str(error)) from None


@command.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_container.options
@click.option("--timeout", default="4h", show_default=True, metavar="T", help="When Modal ends it: 90m, 4h.")
@click.option(
    "--push-every",
    default=5.0,
    show_default=True,
    type=_options.Finite(0.5, 600),
    metavar="S",
    help="How often; news of a death or a stall at once.",
)
@click.option("--stall-after", type=_options.Finite(min=1), metavar="S", help="As of `diagnose run`.")
@click.option("--on-stall", type=click.Choice(["keep", "stop"]), default="keep", help="As of `diagnose run`.")
@_options.mode
@click.option("--cache-gate", is_flag=True, help="As of `diagnose run`.")
@click.option("--lane", default="training", show_default=True, help="As of `diagnose run`.")
@click.option("--preflight", type=click.Choice(["fast", "default"]), help="As of `diagnose run`.")
@click.option(
    "--reduced", default="", metavar="'COMMAND'", help="As of `diagnose run`, in the same container."
)
@click.option("--name", help="What the run is called (default: the program's name).")
@ROOT
@click.option("--dry-run", is_flag=True, help="Say what would be asked for and what it costs; ask nothing.")
@click.argument("command_line", nargs=-1, required=True, metavar="[--] COMMAND...", type=click.UNPROCESSED)
@click.pass_context
def launch(ctx: click.Context, /, command_line: tuple[str, ...], **given: Any) -> None:
    """Start COMMAND on Modal, detached, watched as by `diagnose run`.

    It goes on without this machine. What it shows is pushed to a volume while it runs, so that it can be
    judged whatever becomes of the container:

    \b
        diagnose modal launch --gpu H200:8 --code . -- \\
            torchrun --nproc-per-node 8 train.py

    Of several --nodes each runs COMMAND. torchrun needs no flags for that (it reads PET_NNODES,
    PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT); others find MASTER_ADDR, MASTER_PORT, NNODES
    and NODE_RANK in their environment.
    """  # fmt: skip
    from diagnose.surfaces.modal import launching

    words = list(command_line[1:] if command_line[0] == "--" else command_line)
    if not words or (command_line[0].startswith("-") and command_line[0] != "--"):
        raise click.UsageError(f"no such option: {command_line[0]}" if words else "no COMMAND")
    if _options.reduced(ctx, given) and given["nodes"] > 1:
        raise click.UsageError("--reduced needs one node: containers do not agree on when a job hangs")
    with client():
        asked = launching.asked(words, given)
        for line in launching.plan(asked) if given["dry_run"] else launching.start(asked, given["root"]):
            click.echo(line)


@command.command(context_settings={"allow_interspersed_args": False})
@_container.options
@click.option(
    "--timeout",
    default="4h",
    show_default=True,
    metavar="T",
    help="When Modal would end the job, as of `launch`; the checks get what they may take, and 2m.",
)
@click.option("--wait", default="30m", show_default=True, metavar="T", help="For a container, at most.")
@_options.checks
@click.option("--compare", metavar="RUN", help="What differs from RUN, `last` (good one), or `baseline`.")
@ROOT
@click.option("--dry-run", is_flag=True, help="Say what would be asked for and what it costs; ask nothing.")
@click.argument("command_line", nargs=-1, metavar="[-- COMMAND...]", type=click.UNPROCESSED)
@click.pass_context
def preflight(ctx: click.Context, /, command_line: tuple[str, ...], **given: Any) -> None:
    """Check a container as `launch` would ask for it, as `diagnose preflight` checks a host.

    COMMAND is what will be launched: its interpreter and the environment that it would get there are looked
    at, it is not started. The container is given back as soon as the checks are made; Ctrl-C ends them.
    Of several --nodes each makes the checks, and one report has them all, by node.

    Exit codes: 0 all that mattered passed, 1 a blocking check failed, 4 only warnings, 3 nothing failed, but
    what --gpu or several --nodes need could not be checked, or not every container came to its end; 2 Modal
    cannot be asked; 130 after a Ctrl-C.
    """
    with client():
        from diagnose.cli import _modal_checks

        ctx.exit(_modal_checks.execute(command_line, given))


@command.command()
@click.argument("run", required=False)
@ROOT
@click.option("--volume", metavar="NAME", help="Where RUN is, if it was not launched from here.")
@click.option("--follow", is_flag=True, help="Go on until it has ended.")
@click.option(
    "--every", default=5.0, type=_options.Finite(min=0.5), metavar="S", help="Between two looks (5)."
)
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("-v", "--verbose", is_flag=True, help="Leave nothing out.")
@click.pass_context
def collect(
    ctx: click.Context,
    /,
    run: str | None,
    root: str | None,
    volume: str | None,
    form: str,
    verbose: bool,
    **way: Any,
) -> None:
    """Ask what became of RUN, fetch what it pushed, and judge that.

    May be called at any time, also while it runs, and as often as wanted; the newest run without RUN.
    Exit codes: 0 nothing wrong found (so far), 1 causes found, 2 Modal cannot be asked, 3 could not tell.
    """
    from diagnose import playbook, reader
    from diagnose.cli import _print

    if volume and not run:
        raise click.UsageError("--volume needs the RUN that is on it")
    with client():
        from diagnose.surfaces.modal import looks

        path = looks.adopt(run, root, volume) if run and volume else found(run, root)
        for text in looks.following(path, way["every"] if way["follow"] else None):
            click.echo(text, err=True)
    if looks.is_preflight(path):
        from diagnose.cli import _modal_checks

        ctx.exit(_modal_checks.collected(path, form, verbose))
    book = playbook.load()
    verdict = _print.read(lambda: reader.examine(path, run or str(path), book))
    if form == "terminal" and not verdict.causes and looks.is_under_way(path) and not verbose:
        click.echo(f"nothing wrong seen so far; all that is seen: diagnose show {path}")
        ctx.exit(0)
    ctx.exit(_print.verdict(verdict, book, form, verbose))


@command.command()
@click.argument("container")
@click.argument("pids", nargs=-1, type=click.IntRange(min=1), metavar="[PID]...")
@click.option(
    "--py-spy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PATH",
    help="A py-spy for the container's processor (default: the one that is installed here).",
)
@_visit.options
@click.pass_context
def attach(
    ctx: click.Context, /, container: str, pids: tuple[int, ...], py_spy: Path | None, **given: Any
) -> None:
    """Look at a silent job in a CONTAINER (ta-...) that has nothing of ours, and judge.

    As `diagnose attach` does on a host; a PID is the container's own. The probes go in by Modal's exec, into
    a temporary folder that they remove. A Python of 3.10 or newer must be there, no packages; the image, the
    job and its volumes stay as they are.
    Exit codes: 0 nothing wrong found, 1 causes found, 2 no such container or process, 3 could not tell.
    """
    with client():
        from diagnose.surfaces.modal import entering, visiting

        one = visiting.Visit(container, entering.run, py_spy)
        there = _visit.Place(
            f"diagnose modal attach {container}",
            f"in {container}",
            one.find,
            one.look,
            {"container": container},
        )
        _visit.visit(ctx, there, pids, **given)


@command.command()
@click.argument("run", required=False)
@ROOT
@click.option("--now", "at_once", is_flag=True, help="End the container too: what it has not pushed is lost.")
def stop(run: str | None, root: str | None, at_once: bool) -> None:
    """End RUN: its container is told, ends the command and pushes what it has."""
    path = found(run, root)
    with client():
        from diagnose.surfaces.modal import looks

        looks.stop(path, at_once)
    click.echo(
        f"diagnose: asked Modal to end {path.name}; then: diagnose modal collect {path.name}", err=True
    )


@command.command()
@click.argument("run", required=False)
@ROOT
def logs(run: str | None, root: str | None) -> None:
    """Print what Modal kept of RUN's output; what Modal itself said is kept with the run."""
    path = found(run, root)
    with client():
        from diagnose.surfaces.modal import looks

        line = None
        for line in looks.logs(path):
            click.echo(line)
    if line is None:
        click.echo("diagnose: Modal has no line of it, yet or any more", err=True)


def found(run: str | None, root: str | None) -> Path:
    """The run that is meant. Raises ClickException."""
    from diagnose import runs

    try:
        return runs.resolve(run, runs.root(root))
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None

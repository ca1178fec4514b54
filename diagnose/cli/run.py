"""Run a command with its ranks watched: who hung, why, and what to do, while it runs and at its end."""

import os
from pathlib import Path
from typing import Any

import click

from diagnose.cli import _options


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--name", help="What the run is called (default: the program's name).")
@click.option("--root", help="Where run directories lie (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option(
    "--stall-after",
    type=_options.Finite(min=1),
    metavar="S",
    help="Silence that counts as a stall (default: 120 s, 600 s before the first step).",
)
@click.option(
    "--on-stall",
    type=click.Choice(["keep", "stop"]),
    default="keep",
    show_default=True,
    help="After a stall was judged: let the job go on, or end it unless it is only slow.",
)
@_options.policy("observe")
@_options.mode
@click.option(
    "--exit-code",
    "whose",
    type=click.Choice(["command", "verdict"]),
    default="command",
    show_default=True,
    help="Exit with the command's own code, or 0/1/3 by the verdict.",
)
@click.option(
    "--preflight",
    type=click.Choice(["fast", "default"]),
    help="Check the host first; where a blocking check fails, the command is not started (exit code 1).",
)
@click.option("--cache-gate", is_flag=True, help="Do not start several ranks on a cold compile cache.")
@click.option("--lane", default="", help="What kind of run it is: training, benchmark, validation.")
@click.option(
    "--reduced",
    default="",
    metavar="'COMMAND'",
    help="Should the job hang: end it, run this reduced preset of it once, and judge the pair.",
)
@click.option("--run-dir", hidden=True, type=click.Path(path_type=Path))  # for surfaces: they name the run
@click.option("--attempt", hidden=True, default="1")
@click.option("-v", "--verbose", is_flag=True, help="Every change, all of the verdict.")
@click.argument("command_line", nargs=-1, required=True, metavar="[--] COMMAND...", type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, /, command_line: tuple[str, ...], **given: Any) -> None:
    """Run COMMAND (torchrun, python train.py, any launcher) and watch its ranks from outside.

    The command needs no change; its output passes through. Exit code: the command's own, 128+N if it died by
    signal N, 126/127 if it cannot be run; with --exit-code verdict 0 nothing wrong, 1 causes found, 3 could
    not tell.

    With --reduced a hang answers: only the full job hangs, it is the model or its compile; both hang, it is
    the infrastructure, and `diagnose bundle` packs the ticket. Give it as many ranks, and let it be short.
    """
    from diagnose import lanes
    from diagnose.cli import _run
    from diagnose.surfaces.local import NotStarted, lookup

    if given["lane"] and given["lane"] not in lanes.names():
        raise click.BadParameter(
            f"{given['lane']}: there are {', '.join(lanes.names())}", param_hint="--lane"
        )
    if command_line[0].startswith("-") and command_line[0] != "--":
        raise click.UsageError(f"no such option: {command_line[0]}")
    words = command_line[1:] if command_line[0] == "--" else command_line
    if not words:
        raise click.UsageError("no COMMAND")
    reduced = _options.reduced(ctx, given)
    wish = _run.Wish(**given)
    try:
        for one in filter(None, (words, reduced)):
            lookup(one, os.environ)
        ctx.exit(_run.execute(words, wish, _run.checked(ctx, words, wish)))
    except NotStarted as error:
        click.echo(f"diagnose: {error}", err=True)
        ctx.exit(error.code)

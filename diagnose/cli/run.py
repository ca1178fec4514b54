"""Run a command with its ranks watched: who hung, why, and what to do, while it runs and at its end."""

import os
import shutil
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from diagnose.preflight.report import Report

POLICIES = {"observe": ["observe"], "policy": ["observe", "policy"], "none": []}


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--name", help="What the run is called (default: the program's name).")
@click.option("--root", help="Where run directories lie (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option(
    "--stall-after",
    type=click.FloatRange(min=1),
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
@click.option(
    "--env",
    "mode",
    type=click.Choice(list(POLICIES)),
    default="observe",
    show_default=True,
    help="observe: recorders and logs; policy: the playbook's settings too; none: nothing.",
)
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
    "gate",
    type=click.Choice(["fast", "default"]),
    help="Check the host first; where something fails, the command is not started (exit code 1).",
)
@click.option("--lane", default="", help="What kind of run it is: training, benchmark, validation.")
@click.option("--run-dir", hidden=True, type=click.Path(path_type=Path))  # for surfaces: they name the run
@click.option("--attempt", hidden=True, default="1")
@click.option("-v", "--verbose", is_flag=True, help="Every change, all of the verdict.")
@click.argument("command_line", nargs=-1, required=True, metavar="[--] COMMAND...", type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    root: str | None,
    stall_after: float | None,
    on_stall: str,
    mode: str,
    whose: str,
    gate: str | None,
    lane: str,
    run_dir: Path | None,
    attempt: str,
    verbose: bool,
    command_line: tuple[str, ...],
) -> None:
    """Run COMMAND (torchrun, python train.py, any launcher) and watch its ranks from outside.

    The command needs no change; its output passes through. Exit code: the command's own, 128+N if it died by
    signal N, 126/127 if it cannot be run; with --exit-code verdict 0 nothing wrong, 1 causes found, 3 could
    not tell.
    """
    from diagnose import lanes
    from diagnose.surfaces.local import NotStarted, lookup

    if lane and lane not in lanes.names():
        raise click.BadParameter(f"{lane}: there are {', '.join(lanes.names())}", param_hint="--lane")
    if command_line[0].startswith("-") and command_line[0] != "--":
        raise click.UsageError(f"no such option: {command_line[0]}")
    words = command_line[1:] if command_line[0] == "--" else command_line
    if not words:
        raise click.UsageError("no COMMAND")
    try:
        lookup(words, os.environ)
        place, checked = (run_dir, attempt), check(ctx, gate, words, run_dir, root) if gate else None
        ctx.exit(
            execute(words, name, root, stall_after, on_stall, mode, whose, verbose, place, checked, lane)
        )
    except NotStarted as error:
        click.echo(f"diagnose: {error}", err=True)
        ctx.exit(error.code)


def check(
    ctx: click.Context, level: str, words: Sequence[str], run_dir: Path | None, root: str | None
) -> "Report":
    """The pre-flight before a launch; exits where the command must not be started."""
    from diagnose import runs
    from diagnose.cli import _preflight

    interruption = _preflight.Interruption()
    with interruption.listening():
        report = _preflight.gate(level, words, run_dir.parent if run_dir else runs.root(root))
    if interruption.code or report.exit_code == 1:
        click.echo("diagnose: the command was not started", err=True)
        ctx.exit(interruption.code or 1)
    return report


def execute(
    words: Sequence[str],
    name: str | None,
    root: str | None,
    stall_after: float | None,
    on_stall: str,
    mode: str,
    whose: str,
    verbose: bool,
    place: tuple[Path | None, str] = (None, "1"),
    checked: "Report | None" = None,
    lane: str = "",
) -> int:
    """The whole of a run; the code to exit with. `place`: the run directory to make, and the attempt."""
    from diagnose import playbook, runs
    from diagnose.playbook import Environment, Limits
    from diagnose.session import Session
    from diagnose.surfaces.local import Job, Local
    from diagnose.terminal import Screen, fill_standard

    fill_standard()
    run_dir, attempt = place
    top, begun = run_dir.parent if run_dir else runs.root(root), time.monotonic()
    folder = playbook.root()
    policies = [playbook.read(folder / "environment" / f"{p}.toml", Environment) for p in POLICIES[mode]]
    limits = playbook.read(folder / "limits.toml", Limits)
    screen = Screen()

    def complain(line: str) -> None:
        screen.say(f"diagnose: {line}\n")

    called = name or PurePath(next((w for w in words if w.endswith(".py")), words[0])).stem
    run: Path | None = None
    try:
        run = runs.make(run_dir) if run_dir else runs.create(top, called, time.time())
        if checked:
            from diagnose.cli import _preflight

            _preflight.keep(checked, top, run)
        local = Local(
            Job(
                words,
                run,
                called,
                policies,
                stall_after or limits.stall_after_s,
                stall_after or limits.stall_after_first_step_s,
                on_stall,
                attempt,
                lane,
            ),
            screen,
            complain,
        )
    except BaseException as error:
        if run:
            shutil.rmtree(run, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        reason = f"{error.strerror or error}"
        raise click.ClickException(f"cannot make a run directory in {top}: {reason}") from None
    session = Session(local, screen, cache(playbook.load), verbose)
    session.listen()
    try:
        local.start()
    except BaseException as error:
        local.move("error", str(error))
        local.fetch()
        local.clear()
        raise
    told = changes_line(local.changes, verbose)
    complain(f"run {run.name} in {top}" + (f"; {told}" if told else ""))
    code = session.run()
    shown = code if code >= 0 else 128 - code
    try:
        verdict = session.finish(code)
    except Exception as error:  # whatever is wrong with us, the command's code is the answer
        if "DIAGNOSE_TRACEBACK" in os.environ:
            raise
        complain(f"no verdict: {type(error).__name__}: {error}")
        verdict = None
    if verdict is None:
        return shown if whose == "command" else 3
    session.say_end(verdict, code, time.monotonic() - begun)
    return shown if whose == "command" else verdict.exit_code()


def changes_line(changes: Sequence[object], verbose: bool) -> str:
    """The environment's changes, folded into one line."""
    from diagnose.contract import Change

    parts: dict[str, list[str]] = {}
    for c in changes:
        if isinstance(c, Change):
            word = c.name if c.action == "unset" or not verbose else f"{c.name}={c.value} ({c.why})"
            parts.setdefault(c.action, []).append(word)
    if verbose:
        return "".join(f"\n  {action} {word}" for action, words in parts.items() for word in words)
    kept = f"kept yours {', '.join(parts['kept'])}" if "kept" in parts else ""
    done = [
        f"{action} {len(words)} variables (-v)" if len(words) > 3 else f"{action} {', '.join(words)}"
        for action, words in parts.items()
        if action != "kept"
    ]
    return "; ".join(part for part in [*done, kept] if part)

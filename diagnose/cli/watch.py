"""Watch a running job: a live table of its ranks."""

import click

from diagnose.cli import _options


@click.command()
@click.argument("run", required=False)
@click.option("--root", help="Where names are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--once", is_flag=True, help="Print the table once.")
@click.option(
    "--interval",
    type=_options.Finite(min=0.2),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Seconds between two looks.",
)
def command(run: str | None, root: str | None, once: bool, interval: float) -> None:
    """What every rank of RUN does now: a path, an id or a name; the newest run without one.

    It only reads, and sees the newest only on the machine on which the run is. The odd ranks come first;
    where the screen is too small, ranks that do the same are one row. It ends with the run, or by Ctrl-C
    (exit code 130). Where stdout is no terminal the table is printed once.
    """
    import os
    import shutil
    import sys

    from diagnose import runs
    from diagnose.render.terminal import show
    from diagnose.watching import NotARun, Watch, live

    try:
        watch = Watch(runs.resolve(run, runs.root(root)))
    except (runs.NoRun, NotARun) as error:
        raise click.ClickException(str(error)) from None
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if is_terminal and not once:
        live(watch, interval)
        return
    watch.look()
    columns = shutil.get_terminal_size((120, 24)).columns
    show("\n".join(watch.lines(columns)) + "\n")

"""List the runs under a root: when, how they ended, what was found."""

import click


@click.command()
@click.option("--root", help="Where the runs lie (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option(
    "-n", "num", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first."
)
@click.pass_context
def command(ctx: click.Context, root: str | None, num: int) -> None:
    """A line a run, the newest first. What a killed writer left undone is done now."""
    from itertools import islice

    from diagnose import runs
    from diagnose.cli import _table

    top = runs.root(root)
    rows = [_table.row(path) for path, _ in islice(runs.listed(top), num)]
    if not rows:
        click.echo(f"no runs in {top}", err=True)
        ctx.exit(0)
    for line in _table.lines(rows):
        click.echo(line)

"""List the runs under a root: when, how they ended, what was found."""

import click


@click.command()
@click.option("--root", help="Where the runs lie (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option(
    "-n", "num", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first."
)
@click.option("--changed-since", "good", metavar="GOOD", help="The first run in which a field changed.")
@click.option("--field", default="", metavar="F", help="This one alone: image, versions.torch, env.NAME, ...")
@click.pass_context
def command(ctx: click.Context, root: str | None, num: int, good: str | None, field: str) -> None:
    """A line a run, the newest first. What a killed writer left undone is done now.

    With --changed-since a line a field: the first later run of the same kind where it is not as in GOOD.
    Exit codes then: 0 nothing changed, 1 something did, 3 could not tell.
    """
    from itertools import islice

    from diagnose import runs
    from diagnose.cli import _table

    if field and not good:
        raise click.UsageError("--field needs --changed-since GOOD")
    if good:
        from diagnose.cli import _records

        told, code = _records.since(good, field, root)
        for line in told:
            click.echo(line)
        ctx.exit(code)
    top = runs.root(root)
    rows = [_table.row(path) for path, _ in islice(runs.listed(top), num)]
    if not rows:
        click.echo(f"no runs in {top}", err=True)
        ctx.exit(0)
    for line in _table.lines(rows):
        click.echo(line)

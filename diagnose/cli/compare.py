"""What differs between two runs, the most suspicious first, and what it did to the figures."""

import click


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--root", help="Where names are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("-v", "--verbose", is_flag=True, help="Leave nothing out.")
@click.pass_context
def command(ctx: click.Context, before: str, after: str, root: str | None, form: str, verbose: bool) -> None:
    """Hold run B against run A: a path, an id or a name each.

    Figures are compared only between receipts (whole, and long enough) of one kind. What one of them does not
    tell is unknown, never the same.

    Exit codes: 0 the same, 1 differences found, 3 not comparable or could not tell.
    """
    import sys

    from diagnose import comparing, lanes, playbook
    from diagnose.cli import _records
    from diagnose.render import comparison, markdown, terminal

    one, other = _records.of(before, root), _records.of(after, root)
    told = comparing.compare(
        one, other, comparing.load(), lanes.lane(one.lane or other.lane), (before, after)
    )
    if form == "json":
        click.echo(comparison.encode(told), nl=False)
    else:
        laid = comparison.page(told, playbook.load(), verbose)
        if form == "markdown":
            click.echo(markdown.lay(laid), nl=False)
        else:
            terminal.show(terminal.lay(laid, terminal.width(sys.stdout.isatty())))
    ctx.exit(told.exit_code())

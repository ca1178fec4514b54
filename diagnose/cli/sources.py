"""List the kinds of evidence that can be read, with the events they give."""

import click


@click.command()
@click.option("--table", "short", is_flag=True, help="One row for each kind of evidence.")
def command(short: bool) -> None:
    """Every kind of evidence, every event it gives and what that means, in Markdown."""
    from diagnose import kinds

    found = kinds.kinds()
    click.echo(kinds.table(found) if short else kinds.meanings(found).rstrip("\n"))

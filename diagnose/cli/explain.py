"""Explain a failure: how to recognise it, what rules it out, what to do."""

import click


@click.command()
@click.argument("failure", required=False, metavar="[ID]")
def command(failure: str | None) -> None:
    """Everything the playbook says of the failure ID, as Markdown. Without an ID the failures are listed."""
    from diagnose import playbook
    from diagnose.cli import _print
    from diagnose.render import guide

    book = playbook.load()
    if failure is None:
        click.echo(guide.failures(book), nl=False)
        return
    click.echo(guide.failure(_print.failure(failure, book), book), nl=False)

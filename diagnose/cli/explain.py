"""Explain a failure: how to recognise it, what rules it out, what to do."""

import click


@click.command()
@click.argument("failure", required=False, metavar="[ID]")
def command(failure: str | None) -> None:
    """Everything the playbook says of the failure ID, as Markdown. Without an ID the failures are listed."""
    from difflib import get_close_matches

    from diagnose import playbook
    from diagnose.render import guide

    book = playbook.load()
    if failure is None:
        click.echo(guide.failures(book), nl=False)
        return
    name = failure.strip().lower().replace("-", "_")
    if name not in book.failures:
        near = get_close_matches(name, book.failures, n=3, cutoff=0.4)
        near += [other for other in book.failures if name and name in other and other not in near]
        hint = f"; did you mean {', '.join(near[:4])}?" if near else "; `diagnose explain` lists all"
        raise click.ClickException(f"no failure is called {failure}{hint}")
    click.echo(guide.failure(name, book), nl=False)

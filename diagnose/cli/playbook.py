"""Print the questions to ask of a symptom, in order: hang, crash, slow, ..."""

import click


@click.command()
@click.argument("symptom", required=False)
def command(symptom: str | None) -> None:
    """The tree of SYMPTOM as numbered questions, in Markdown. Without one the symptoms are listed."""
    from difflib import get_close_matches

    from diagnose import playbook
    from diagnose.render import guide

    book = playbook.load()
    if symptom is None:
        click.echo(guide.symptoms(book), nl=False)
        return
    name = symptom.strip().lower().replace("-", "_")
    if name not in book.trees:
        near = get_close_matches(name, book.trees, n=2, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(book.trees)}"
        raise click.ClickException(f"no tree for the symptom {symptom}; {hint}")
    click.echo(guide.tree(name, book), nl=False)

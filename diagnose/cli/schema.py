"""Print the JSON Schema of what diagnose writes: record, verdict, event, manifest."""

import click


@click.command()
@click.argument("name", type=click.Choice(["record", "verdict", "event", "manifest", "failure", "preflight"]))
def command(name: str) -> None:
    """The JSON Schema (draft 2020-12) of one contract.

    Keys may be added to all of them but a failure's file: readers pass over what they do not know.
    """
    from diagnose import schemas

    click.echo(schemas.encode(name), nl=False)

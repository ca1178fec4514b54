"""Show the verdict on a run: a path, an id or a name; the newest run without one."""

import click


@click.command()
@click.argument("run", required=False)
@click.option("--root", help="Where names are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("-v", "--verbose", is_flag=True, help="Leave nothing out.")
@click.pass_context
def command(ctx: click.Context, run: str | None, root: str | None, form: str, verbose: bool) -> None:
    """RUN by lane and stage, whether it is a receipt, its cold start; then the verdict on it.

    The verdict is shown as it was written; it is made now where its writer was killed.

    Exit codes: 0 nothing wrong found, 1 causes found, 3 could not tell.
    """
    from diagnose import playbook, reader, record, runs
    from diagnose.cli import _print

    try:
        path = runs.resolve(run, runs.root(root))
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None
    book = playbook.load()
    verdict = _print.read(lambda: reader.sorted_(path, reader.recall(path, run or str(path), lambda: book)))
    code = _print.verdict(verdict, book, form, verbose)
    done = record.read(path) if verbose and form == "terminal" else None
    if done and done.volumes:
        click.echo("\nVolumes, and what the ranks had there:")
        for line in map(_print.volume, done.volumes):
            click.echo(f"  {line}")
    ctx.exit(code)

"""Say what happened from the files that were left: a run directory, a folder, a log, an archive."""

import click


@click.command()
@click.argument("path")
@click.option("--root", help="Where names are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("-v", "--verbose", is_flag=True, help="Leave nothing away.")
@click.pass_context
def command(ctx: click.Context, path: str, root: str | None, form: str, verbose: bool) -> None:
    """The verdict on the evidence in PATH, from the files alone.

    PATH is a run (path, id or name), or any folder, file, .tar.gz or .zip; files are known by their content.
    Exit codes: 0 nothing wrong found, 1 causes found, 3 could not tell.
    """
    from diagnose import playbook, reader, runs
    from diagnose.cli import _print, _progress

    try:
        found = runs.resolve(path, runs.root(root))
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None
    book = playbook.load()
    with _progress.line(path) as told:
        verdict = _print.read(lambda: reader.examine(found, path, book, told))
    ctx.exit(_print.verdict(verdict, book, form, verbose))

"""Say what happened from the files that were left: a run directory, a folder, a log, an archive."""

import click


@click.command()
@click.argument("path")
@click.option("--root", help="Where names are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("-v", "--verbose", is_flag=True, help="Leave nothing away.")
@click.option("--check", is_flag=True, help="Test the certificates against the dumps once more.")
@click.pass_context
def command(ctx: click.Context, path: str, root: str | None, form: str, verbose: bool, check: bool) -> None:
    """The verdict on the evidence in PATH, from the files alone.

    PATH is a run (path, id or name), or any folder, file, .tar.gz or .zip; files are known by their content.
    Exit codes: 0 nothing wrong found, 1 causes found, 3 could not tell.

    With --check, what each cause rests on in the flight recorder dumps is read from the dumps again, by other
    code, and told claim by claim: of the verdict made now, and of the one that lies in the run from before.
    Exit codes then: 0 every claim holds, 1 one does not, 3 nothing to check or not all can be checked.
    """
    from diagnose import playbook, reader, runs
    from diagnose.cli import _check, _print, _progress

    try:
        found = runs.resolve(path, runs.root(root))
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None
    book = playbook.load()
    saved = _check.saved(found) if check else {}
    with _progress.line(path) as told:
        verdict = _print.read(lambda: reader.examine(found, path, book, told))
    if check:
        ctx.exit(_check.show(_check.tested(found, {"made now": verdict, **saved}), path, form, verbose))
    ctx.exit(_print.verdict(verdict, book, form, verbose))

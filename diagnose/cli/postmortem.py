"""Say what happened from the files that were left: a run directory, folders, logs, archives, stdin."""

from pathlib import Path

import click


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--root", help="Where names are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("--explain", "failure", metavar="FAILURE", help="Why this failure was or was not concluded.")
@click.option("-v", "--verbose", is_flag=True, help="Leave nothing out.")
@click.option("--check", is_flag=True, help="Test the certificates against the dumps once more.")
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    root: str | None,
    form: str,
    failure: str | None,
    verbose: bool,
    check: bool,
) -> None:
    """The verdict on the evidence in every PATH together, from the files alone.

    PATH is a run (path, id or name), any folder or file, a .zip or .tar, compressed or not, or - for standard
    input; files are known by their content.
    Exit codes: 0 nothing wrong found, 1 causes found, 3 could not tell.

    With --check, what each cause rests on in the flight recorder dumps is read from the dumps again, by other
    code, and told claim by claim: of the verdict made now, and of the one that lies in the run from before.
    Exit codes then: 0 every claim holds, 1 one does not, 3 nothing to check or not all can be checked.
    """
    from diagnose import playbook, reader, runs
    from diagnose.cli import _check, _print, _progress

    if check and (failure or len(paths) > 1 or paths[0] == "-"):
        raise click.UsageError("--check takes one run, folder or file, and no --explain")
    try:
        found = [path if path == "-" else str(runs.resolve(path, runs.root(root))) for path in paths]
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None
    book = playbook.load()
    asked = _print.failure(failure, book) if failure else ""
    place = Path(found[0])
    saved = _check.saved(place) if check else {}
    with _progress.line(" ".join(paths)) as told:
        verdict = _print.read(lambda: reader.look_back(paths, found, book, told, asked))
    if check:
        ctx.exit(_check.show(_check.tested(place, {"made now": verdict, **saved}), paths[0], form, verbose))
    ctx.exit(_print.verdict(verdict, book, form, verbose))

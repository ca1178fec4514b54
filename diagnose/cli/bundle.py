"""Pack a run into one small archive for a support ticket, secrets hidden."""

from pathlib import Path

import click


@click.command()
@click.argument("run", required=False)
@click.option("--root", help="Where names are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option(
    "--for", "audience", type=click.Choice(["modal"]), help="Order it as that platform's support asks."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to write it (default: RUN.tar.gz here)."
)
@click.option(
    "--limit",
    "limit_mib",
    type=click.IntRange(1, 2048),
    default=20,
    show_default=True,
    metavar="MiB",
    help="It is never larger; what finds no room is named in it.",
)
@click.pass_context
def command(
    ctx: click.Context,
    run: str | None,
    root: str | None,
    audience: str | None,
    output: Path | None,
    limit_mib: int,
) -> None:
    """One .tar.gz of RUN: verdict, record, manifest, evidence and ids, with a README at its head.

    Every secret that can be known as one is hidden, and what was hidden is listed; `diagnose postmortem` says
    the same of it. Long logs are cut to what the evidence rests on. Look at it before you send it.
    Exit codes: 0 packed, 3 packed, but the verdict from it differs: what found no room is needed.
    """
    import tempfile

    import msgspec

    from diagnose import manifest, playbook, runs, ticket, ticket_readme
    from diagnose.cli import _print
    from probes.redact import redact

    try:
        path = runs.resolve(run, runs.root(root))
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None
    found = manifest.read(path)
    if found is None:
        raise click.ClickException(f"{path}: no run: it has no manifest.json")
    if audience == "modal" and found.surface != "modal" and not found.app_id:
        raise click.ClickException(f"{found.run} did not run on Modal: leave out --for modal")
    target = output or Path(f"{path.resolve().name}.tar.gz")
    book = playbook.load()
    try:
        with tempfile.TemporaryDirectory(prefix="diagnose-") as place:
            folder = Path(place)
            done = _print.read(lambda: ticket.gather(path, folder, book, limit_mib << 20))
            text = ticket_readme.readme(done, book, audience or "")
            (folder / ticket.README).write_text("\n".join(map(redact, text.split("\n"))))
            body = msgspec.json.format(msgspec.json.encode(ticket.listed(done.files)), indent=1)
            (folder / ticket.REDACTED).write_bytes(body + b"\n")
            kept = [one.path for one in done.files if not one.left]
            size = ticket.pack(folder, target, path.resolve().name, [ticket.README, *kept, ticket.REDACTED])
    except OSError as error:
        raise click.ClickException(f"{target}: {error.strerror or error}") from None
    left = sum(1 for one in done.files if one.left)
    click.echo(
        f"{target}  {size / 1024:,.0f} KiB, {len(kept)} files" + (f", {left} left out" if left else "")
    )
    click.echo(f"  hidden: {done.num_hidden} places, listed in {ticket.REDACTED}")
    same = "the same from the bundle alone" if done.is_same else "NOT the same from the bundle alone"
    click.echo(
        f"  verdict: {', '.join(c.failure for c in done.verdict.causes) or done.verdict.symptom}; {same}"
    )
    ctx.exit(0 if done.is_same else 3)

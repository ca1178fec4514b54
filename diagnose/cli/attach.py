"""Look at a job that is already silent and was started without us: who holds it up, and where."""

import time

import click


@click.command()
@click.argument("pids", nargs=-1, type=click.IntRange(min=1), metavar="[PID]...")
@click.option(
    "--rank", "ranks", type=click.IntRange(min=0), multiple=True, help="Only this rank; may repeat."
)
@click.option("--signal", "may_signal", is_flag=True, help="Allow what makes the ranks themselves write.")
@click.option("--native", is_flag=True, help="C++ frames, too; pauses each rank for about a second.")
@click.option(
    "--stall-after",
    type=click.FloatRange(min=1),
    metavar="S",
    help="Silence after which a rank that is at work is to blame, too (default: 120 s).",
)
@click.option("--root", help="Where the evidence is kept (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--name", help="What the visit is called (default: attach-PROGRAM).")
@click.option("--format", "form", type=click.Choice(["terminal", "json", "markdown"]), default="terminal")
@click.option("-v", "--verbose", is_flag=True, help="Leave nothing out.")
@click.pass_context
def command(
    ctx: click.Context,
    pids: tuple[int, ...],
    ranks: tuple[int, ...],
    may_signal: bool,
    native: bool,
    stall_after: float | None,
    root: str | None,
    name: str | None,
    form: str,
    verbose: bool,
) -> None:
    """Find the ranks on this host, look at them twice within seconds, and judge.

    A PID names a job: one of its ranks, its launcher, or a process below. Without one it is the only job of
    this host. The job goes on untouched: stacks are read from outside, nothing is sent and nothing stops.
    --signal allows a stack signal where the program registered faulthandler for one, and a byte into the
    recorder's dump pipe.
    Exit codes: 0 nothing wrong found, 1 causes found, 2 several jobs or no such process, 3 could not tell.
    """
    from diagnose import attaching, playbook, runs
    from diagnose.cli import _print

    def complain(line: str) -> None:
        click.echo(f"diagnose: {line}", err=True)

    book = playbook.load()
    found = attaching.find(pids)
    if found.wrong:
        raise click.ClickException("; ".join(found.wrong))
    for reason in found.refused:
        complain(reason)
    if not found.jobs:
        if not found.refused:
            complain("no ranks on this host: no process of a job carries RANK or has loaded torch")
        ctx.exit(_print.verdict(attaching.nothing("."), book, form, verbose) if form == "json" else 3)
    if len(found.jobs) > 1:
        lines = "\n  ".join(attaching.listed(found.jobs, time.time()))
        raise click.ClickException(f"{len(found.jobs)} jobs; name one by a PID:\n  {lines}")
    [whole] = found.jobs
    job = attaching.narrowed(whole, ranks)
    if not job["ranks"]:
        [line] = attaching.listed([whole], time.time())
        raise click.ClickException(f"no process here is that rank; {line}")
    if any(one["how"] == "order" for one in job["ranks"]):
        complain("these ranks carry no number: they are counted in the order in which they were started")
    options = attaching.Options(may_signal, native, stall_after or book.limits.stall_after_s)
    top = runs.root(root)
    try:
        run = attaching.begin(top, name, job, time.time())
    except OSError as error:
        raise click.ClickException(
            f"cannot make a run directory in {top}: {error.strerror or error}; choose another by --root"
        ) from None
    attaching.look(run, job, options, complain)
    verdict = attaching.judge(run, book, complain)
    code = _print.verdict(verdict, book, form, verbose)
    complain("\ndiagnose: ".join([*attaching.early(verdict, options), f"evidence and verdict: {run}"]))
    ctx.exit(code)

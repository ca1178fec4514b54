"""Check whether this host, its GPUs, software and storage will survive a long run, before it starts."""

import os
from pathlib import Path

import click

from diagnose.cli import _options


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--gpu", default="", metavar="MODEL:N", help="GPUs that must be here: H100:8, H100!:8, 8.")
@_options.checks
@click.option("--from", "given", type=click.Path(path_type=Path), help="Judge what was measured earlier.")
@click.option("--baseline", type=click.Choice(["save"]), help="Keep this report as the good one.")
@click.option("--compare", metavar="RUN", help="What differs from RUN, `last` (good one), or `baseline`.")
@click.option("--root", help="Where reports are kept (default: $DIAGNOSE_ROOT, else ./runs).")
@click.option("--run-dir", type=click.Path(path_type=Path), help="Keep the report in just this folder.")
@click.argument("command_line", nargs=-1, metavar="[-- COMMAND...]", type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context,
    gpu: str,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    level: str | None,
    without: tuple[str, ...],
    folders: tuple[str, ...],
    settings: tuple[str, ...],
    given: Path | None,
    baseline: str | None,
    compare: str | None,
    root: str | None,
    run_dir: Path | None,
    form: str,
    verbose: bool,
    command_line: tuple[str, ...],
) -> None:
    """Measure, compare with the playbook's thresholds, and say what would not survive.

    COMMAND is what will be run: its interpreter and environment are looked at, it is not started. Costs that
    can be left out: signals, pauses, gpu_memory, kernels, writes_disk, network, ranks.

    Exit codes: 0 all that mattered passed, 1 a blocking check failed, 4 only warnings, 3 nothing failed, but
    what --gpu or a job of several nodes needs could not be checked, or the probe died; 130 after a Ctrl-C.
    """
    import msgspec

    from diagnose import runs
    from diagnose.cli import _preflight
    from diagnose.preflight import book, saving
    from diagnose.preflight.judging import judge

    known, top, interruption = book.load(), runs.root(root), _preflight.Interruption()
    os.environ["DIAGNOSE_ROOT"] = str(top)  # checks look at where runs will be kept
    names = _preflight.chosen(known, only, skip)
    costs = _preflight.costs(without)
    wanted = _preflight.target(known, command_line, gpu, folders, settings, level or "default")
    then = _preflight.earlier(compare, top, known) if compare else None
    if given:
        found = _preflight.stored(given)
        mine = {*names} if only or skip else {made.check for made in found.checks} | {*found.wanted}
        found = msgspec.structs.replace(
            found,
            checks=[made for made in found.checks if made.check in mine],
            wanted=[name for name in found.wanted if name in mine],
        )
    else:
        with interruption.listening():
            found = _preflight.make(known, names, wanted, costs, run_dir)
    report = judge(found, known)
    if then:
        report = _preflight.compared(report, *then, known)
    _preflight.show(report, form, verbose)
    if not given:
        _preflight.keep(report, top, run_dir)
    if baseline:
        try:
            saving.save_baseline(report, top)
        except (OSError, ValueError) as error:
            click.echo(f"diagnose: no baseline was saved: {error}", err=True)
            ctx.exit(interruption.code or report.exit_code or 2)
    ctx.exit(interruption.code or report.exit_code)

"""`run --reduced`: a job that hung is run once more as its reduced preset, and the pair answers."""

import shlex
from collections.abc import Callable, Sequence

import click

from diagnose import playbook, reducing, reduction
from diagnose.bundle import BundleError
from diagnose.cli._run import Ended, Wish
from diagnose.surfaces.local import NotStarted

Watch = Callable[[Sequence[str], Wish], Ended]


def answered(full: Ended, wish: Wish, watch: Watch) -> Ended:
    """The job's end, with the pair's answer in its verdict where it hung and nobody had it end."""
    if full.verdict is None or full.was_asked or not reducing.is_wanted(full.verdict):
        return full
    if not full.is_whole:
        say("the reduced preset is not run: the evidence of the job is not whole yet")
        return full
    words = shlex.split(wish.reduced)
    say(f"it hung; now its reduced preset: {wish.reduced}")
    try:
        done = watch(words, lesser(full, wish))
    except (NotStarted, click.ClickException) as error:
        say(f"the reduced preset was not started: {error}")
        return full
    data = reducing.told(full.verdict, done.verdict, done.run, words, done.code, done.was_asked)
    try:
        verdict = reducing.answer(full.run, wish.attempt, data, playbook.load())
    except (OSError, BundleError) as error:
        say(f"the pair's answer cannot be written: {error}")
        return full
    titles = [one.title for one in verdict.context if any(c.fact == reducing.FACT for c in one.evidence)]
    say("; ".join([reduction.words(data), *titles]))
    say(f"all of it: diagnose show {full.run}")
    return full._replace(verdict=verdict)


def lesser(full: Ended, wish: Wish) -> Wish:
    """How the reduced preset is watched: beside the job, and never left hanging."""
    return wish._replace(
        name=f"{wish.name or full.run.name.rpartition('-')[0]}-reduced",
        run_dir=full.run.with_name(f"{full.run.name}-reduced"),
        on_stall="stop",
        preflight=None,
        cache_gate=False,
        reduced="",
    )


def say(line: str) -> None:
    click.echo(f"diagnose: {line}", err=True)

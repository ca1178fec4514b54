"""Look at a job that is already silent and was started without us: who holds it up, and where."""

from typing import Any

import click

from diagnose.cli import _visit


@click.command()
@click.argument("pids", nargs=-1, type=click.IntRange(min=1), metavar="[PID]...")
@_visit.options
@click.pass_context
def command(ctx: click.Context, /, pids: tuple[int, ...], **given: Any) -> None:
    """Find the ranks on this host, look at them twice within seconds, and judge.

    A PID names a job: one of its ranks, its launcher, or a process below. Without one it is the only job of
    this host. The job goes on untouched: stacks are read from outside, nothing is sent and nothing stops.
    --signal allows a stack signal where the program registered faulthandler for one, and a byte into the
    recorder's dump pipe.
    Exit codes: 0 nothing wrong found, 1 causes found, 2 several jobs or no such process, 3 could not tell.
    """
    from diagnose import attaching

    here = _visit.Place("diagnose attach", "on this host", attaching.find, attaching.look)
    _visit.visit(ctx, here, pids, **given)

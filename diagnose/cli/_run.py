"""The whole of a run: what is wished for, the gates before it, the watching, the end."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

import click

from diagnose import environment, playbook, runs
from diagnose.contract import Change
from diagnose.limits import limits
from diagnose.session import ASKED, Session
from diagnose.surfaces.local import Job, Local
from diagnose.terminal import Screen, fill_standard

if TYPE_CHECKING:
    from diagnose.caching.running import Gatekeeper
    from diagnose.preflight.report import Report
    from diagnose.verdict import Verdict

LANE = "training"  # by which a gate learns, where nobody said


class Wish(NamedTuple):
    """What the options of `diagnose run` ask for."""

    name: str | None
    root: str | None
    stall_after: float | None  # s
    on_stall: str
    mode: str  # which environment policy
    sharing: str | None  # how the ranks share the model, one of environment.MODES
    whose: str  # exit code: the command's, or the verdict's
    preflight: str | None
    cache_gate: bool
    lane: str
    reduced: str  # the command to run once more in its stead, should it hang
    run_dir: Path | None  # the run directory to make, where a surface names it
    attempt: str
    verbose: bool

    @property
    def top(self) -> Path:
        """The folder that the run directory is made in."""
        return self.run_dir.parent if self.run_dir else runs.root(self.root)

    @property
    def own(self) -> Path | None:
        """Where a surface finds what is of this attempt, also where no run began."""
        return self.run_dir / "attempts" / self.attempt if self.run_dir else None


def checked(ctx: click.Context, words: Sequence[str], wish: Wish) -> "Report | None":
    """The pre-flight before a launch, if any; exits where the command must not be started."""
    if not wish.preflight:
        return None
    from diagnose.cli import _preflight

    interruption = _preflight.Interruption()
    with interruption.listening():
        report = _preflight.gate(wish.preflight, words, wish.top, wish.own)
    if interruption.code or (report and report.exit_code == 1):
        click.echo("diagnose: the command was not started", err=True)
        ctx.exit(interruption.code or 1)
    return report


class Ended(NamedTuple):
    """One command that was watched to its end."""

    run: Path
    code: int  # negative: a signal
    verdict: "Verdict | None"
    was_asked: bool  # somebody asked it to end
    is_whole: bool = True  # its evidence is all in the run directory

    def shown(self, whose: str) -> int:
        """The code to exit with."""
        if whose == "command":
            return self.code if self.code >= 0 else 128 - self.code
        return self.verdict.exit_code() if self.verdict else 3


def execute(words: Sequence[str], wish: Wish, report: "Report | None" = None) -> int:
    """The command, and its reduced preset where it hung; the code to exit with. Raises NotStarted."""
    done = watched(words, wish, report)
    if wish.reduced:
        from diagnose.cli import _reduced

        done = _reduced.answered(done, wish, watched)
    return done.shown(wish.whose)


def watched(words: Sequence[str], wish: Wish, report: "Report | None" = None) -> Ended:
    """Start the command, watch it, judge it. Raises NotStarted."""
    fill_standard()
    begun, screen = time.monotonic(), Screen()

    def complain(line: str) -> None:
        screen.say(f"diagnose: {line}\n")

    local = prepared(words, wish, report, screen, complain)
    session = Session(local, screen, cache(playbook.load), wish.verbose)
    session.listen()
    keeper = gatekeeper(wish, words, local, complain)
    try:
        keeper.admit()
        local.start()
    except BaseException as error:
        local.move("error", str(error))
        if local.bring():
            local.clear()
        else:
            complain(f"not all could be brought over from {local.spool}: diagnose show {local.job.run}")
        raise
    told = changes_line(local.changes, wish.verbose)
    complain(f"run {local.job.run.name} in {wish.top}" + (f"; {told}" if told else ""))
    code = session.run()
    was_asked = session.asked > session.is_stopping
    keeper.ended(code)
    try:
        verdict = session.finish(code)
    except Exception as error:  # whatever is wrong with us, the command's code is the answer
        if "DIAGNOSE_TRACEBACK" in os.environ:
            raise
        complain(f"no verdict: {type(error).__name__}: {error}")
        verdict = None
    if verdict is not None:
        keeper.learn(not verdict.causes, local.job.run.name)
        session.say_end(verdict, code, time.monotonic() - begun)
    was_asked |= verdict is None or not ASKED.isdisjoint(session.received)
    return Ended(local.job.run, code, verdict, was_asked, session.kept == local.job.run)


def prepared(
    words: Sequence[str],
    wish: Wish,
    report: "Report | None",
    screen: Screen,
    complain: Callable[[str], None],
) -> Local:
    """The run directory and all that is made before the command starts. Raises ClickException."""
    numbers = limits()
    called = wish.name or PurePath(next((w for w in words if w.endswith(".py")), words[0])).stem
    run: Path | None = None
    try:
        run = runs.make(wish.run_dir) if wish.run_dir else runs.create(wish.top, called, time.time())
        if report:
            from diagnose.cli import _preflight

            _preflight.keep(report, wish.top, wish.own or run)
        job = Job(
            words,
            run,
            called,
            environment.load(wish.mode),
            wish.stall_after or numbers.stall_after_s,
            wish.stall_after or numbers.stall_after_first_step_s,
            wish.on_stall,
            wish.attempt,
            wish.sharing or "",
            wish.lane,
        )
        return Local(job, screen, complain)
    except BaseException as error:
        if run:
            shutil.rmtree(run, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        reason = f"{error.strerror or error}"
        raise click.ClickException(f"cannot make a run directory in {wish.top}: {reason}") from None


class Ungated:
    """Where no cache gate was asked for."""

    def admit(self) -> None: ...

    def ended(self, code: int) -> None: ...

    def learn(self, is_good: bool, run: str) -> None: ...


def gatekeeper(
    wish: Wish, words: Sequence[str], local: Local, complain: Callable[[str], None]
) -> "Gatekeeper | Ungated":
    if not wish.cache_gate:
        return Ungated()
    from diagnose.caching.running import Gatekeeper

    return Gatekeeper(wish.lane or LANE, words, os.environ, local.journal.say, complain)


def changes_line(changes: Sequence[object], verbose: bool) -> str:
    """The environment's changes, folded into one line."""
    parts: dict[str, list[str]] = {}
    for c in changes:
        if isinstance(c, Change):
            word = c.name if c.action == "unset" or not verbose else f"{c.name}={c.value} ({c.why})"
            parts.setdefault(c.action, []).append(word)
    if verbose:
        return "".join(f"\n  {action} {word}" for action, words in parts.items() for word in words)
    kept = f"kept yours {', '.join(parts['kept'])}" if "kept" in parts else ""
    done = [
        f"{action} {len(words)} variables (-v)" if len(words) > 3 else f"{action} {', '.join(words)}"
        for action, words in parts.items()
        if action != "kept"
    ]
    return "; ".join(part for part in [*done, kept] if part)

"""Run real programs that fail in exactly one way, and score the verdicts on them."""

import sys
import tempfile
from pathlib import Path

import click
import msgspec

from diagnose import drilling, playbook, story
from diagnose.ground import Ground, interruptible
from diagnose.render import terminal
from diagnose.scoring import Score
from diagnose.verdict import Verdict


def listing() -> str:
    """Every drill and what it injects."""
    known = drilling.drills()
    width = max(map(len, known))
    return "\n".join(f"{name:<{width}}  {drill.story}" for name, drill in known.items())


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Every drill.")
@click.option(
    "--times", type=click.IntRange(min=1), default=1, show_default=True, help="Run each so many times."
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Run so many at the same time."
)
@click.option(
    "--root", type=click.Path(file_okay=False, path_type=Path), help="Keep the run directories here."
)
@click.option(
    "--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", show_default=True
)
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    every: bool,
    times: int,
    jobs: int,
    root: Path | None,
    form: str,
) -> None:
    """Run drills through the real `diagnose run`, with real ranks, and score failure and culprit ranks.

    Without a NAME the drills are listed. One NAME alone tells its story.
    Exit codes: 0 all right, 1 one or more wrong, 3 none could be run here.
    """
    known = drilling.drills()
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"no drill {', '.join(unknown)}; `diagnose drill` lists them")
    chosen = list(known) if every else list(dict.fromkeys(names))
    if not chosen:
        click.echo(listing())
        return
    alone = form == "terminal" and len(chosen) == 1 and times == 1
    scores: list[Score] = []
    ground = Ground.below(Path(tempfile.mkdtemp(prefix="dd-")), root)
    try:
        with interruptible():
            if alone:
                scores.append(tell(known[chosen[0]], ground))
            else:
                wanted = [known[name] for name in chosen * times]
                for score in drilling.run_all(wanted, ground.top, root, jobs, note):
                    scores.append(score)
                    if form == "terminal":
                        click.echo(drilling.row(score))
    finally:
        ground.clear()
    if form == "json":
        shown = [s if root else msgspec.structs.replace(s, run="") for s in scores]
        click.echo(msgspec.json.encode({"drills": shown}).decode())
    elif not alone:
        num_right = sum(score.right for score in scores)
        num_skipped = sum(score.skipped for score in scores)
        click.echo(f"{num_right} of {len(scores)} right, {num_skipped} skipped")
    wrong = [score for score in scores if not score.right and not score.skipped]
    ctx.exit(1 if wrong else 3 if all(score.skipped for score in scores) else 0)


def note(line: str) -> None:
    """Progress goes to stderr, and only to people."""
    if sys.stderr.isatty():
        click.echo(f"... {line}", err=True)


def tell(drill: drilling.Drill, ground: Ground) -> Score:
    """One drill as a story: what was injected, what was seen, what was concluded."""
    click.echo(f"INJECTED   {drill.story}\n")
    score = drilling.run(drill, ground, lambda line: click.echo(f"           {line}"))
    if score.run and Path(score.run, "verdict.json").is_file():
        show(Path(score.run))
    want = drilling.told(drill.expected)
    if score.skipped:
        click.echo(f"SKIPPED    {score.reason}")
    elif score.right:
        click.echo(f"RIGHT      that is what was injected: {want}")
    else:
        click.echo(f"WRONG      expected {want}: {score.reason}")
    return score


def show(run: Path) -> None:
    """What was seen, and the verdict as `diagnose run` printed it."""
    verdict = msgspec.json.decode(Path(run, "verdict.json").read_bytes(), type=Verdict)
    click.echo("\nSEEN")
    for line in story.seen(story.events(run)):
        click.echo(f"  {line}")
    click.echo("\nCONCLUDED")
    terminal.show(terminal.render(verdict, playbook.load()))
    click.echo()

"""Compile caches of Inductor and Triton: what is there, is it enough, keep a good one, bring it back."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
LANE = click.option("--lane", default="training", show_default=True, help="What kind of run it is for.")
PYTHON = click.option(
    "--python", default=sys.executable, metavar="PATH", help="The ranks' interpreter (default: ours)."
)
IMAGE = click.option(
    "--image",
    default="",
    metavar="ID",
    help="The image (default: $DIAGNOSE_IMAGE, $MODAL_IMAGE_ID or the like).",
)


def known(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Only fields of a provenance may differ."""
    from diagnose.caching.manifest import FIELDS

    for name in given:
        if name not in FIELDS:
            raise click.BadParameter(f"{name}; there are {', '.join(FIELDS)}")
    return given


ALLOW = click.option(
    "--allow",
    "allowed",
    multiple=True,
    callback=known,
    metavar="FIELD",
    help="Let this differ: image, gpu, num_gpus, torch, ...",
)


def folders(command: F) -> F:
    """What every command here takes."""
    for option in (
        click.option(
            "--inductor", type=PATH, metavar="DIR", help="Default: $TORCHINDUCTOR_CACHE_DIR, else Inductor's."
        ),
        click.option("--triton", type=PATH, metavar="DIR", help="Default: $TRITON_CACHE_DIR, else Triton's."),
        click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal"),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """The compile cache of a job started from here: $TORCHINDUCTOR_CACHE_DIR and $TRITON_CACHE_DIR.

    A cache is code that ranks run: seed only from places that only you can write to. MegaCache
    (torch.compiler.save_cache_artifacts) is another way, in the program itself: `verify` tells what it holds.
    """


@command.command()
@folders
@click.pass_context
def status(ctx: click.Context, inductor: Path | None, triton: Path | None, form: str) -> None:
    """Size and entries by kind, age, locks, and what should not be there.

    Exit codes: 0 nothing odd, 3 it cannot be read, 4 warnings.
    """
    import time

    from diagnose.caching import notes, places, words

    cache, limits = of(inductor, triton)
    found, seed = places.measure(cache), notes.seed(cache)
    warnings = words.warnings(found, limits)
    data = {"cache": found, "warnings": warnings, "seeded_from": seed.source if seed else ""}
    show(form, "status", data, words.status(found, seed, limits, time.time()))
    ctx.exit(3 if found.error else 4 if warnings else 0)


@command.command()
@folders
@LANE
@PYTHON
@IMAGE
@ALLOW
@click.option("--min-entries", type=click.IntRange(min=0), metavar="N", help="Instead of what was learnt.")
@click.option("--min-bytes", type=click.IntRange(min=0), metavar="N", help="Instead of what was learnt.")
@click.pass_context
def gate(
    ctx: click.Context,
    inductor: Path | None,
    triton: Path | None,
    form: str,
    lane: str,
    python: str,
    image: str,
    allowed: tuple[str, ...],
    min_entries: int | None,
    min_bytes: int | None,
) -> None:
    """Is the cache warm enough for a job of several ranks?

    The threshold is a share of what the lane's last good run left (an archive carries it along, `diagnose run
    --cache-gate` notes it in the cache); with nothing learnt it is the playbook's least.
    Exit codes: 0 yes, 1 no, 3 could not tell.
    """
    from diagnose.caching import gate as gating
    from diagnose.caching import places, words

    cache, limits = of(inductor, triton)
    least = gating.threshold(cache, lane, limits, min_entries, min_bytes)
    found = gating.ask(places.measure(cache), least, environ(), python, image, allowed)
    show(form, "gate", {"lane": lane, "gate": found}, words.gate(found))
    ctx.exit({True: 0, False: 1, None: 3}[found.is_open])


@command.command()
@folders
@click.argument("to", type=PATH)
@LANE
@PYTHON
@IMAGE
@click.option("--run", metavar="RUN", help="The good run it comes from: a path, an id or a name.")
@click.option("--root", help="Where runs are looked up (default: $DIAGNOSE_ROOT, else ./runs).")
@click.pass_context
def capture(
    ctx: click.Context,
    to: Path,
    inductor: Path | None,
    triton: Path | None,
    form: str,
    lane: str,
    python: str,
    image: str,
    run: str | None,
    root: str | None,
) -> None:
    """After a good run: put the cache into one archive, in the folder TO (or as TO, a *.tar.zst).

    With --run it is refused unless that run ended well, and the gate learns from it what the lane needs.
    Exit codes: 0 done, 1 refused.
    """
    from diagnose.caching import capture as capturing
    from diagnose.caching import places, words

    cache, limits = of(inductor, triton)
    with refusals(ctx, form, "capture"):
        name, own = good(run, root) if run else ("", "")
        is_told = ctx.get_parameter_source("lane") is not click.core.ParameterSource.DEFAULT
        lane = lane if is_told else own or lane
        here = places.provenance(environ(), python, image)
        places.require_rest(places.measure(cache))
        manifest = capturing.describe(cache, here, limits, lane, name)
        path = capturing.capture(cache, manifest, to)
        if name:
            learn(cache, manifest)
        show(
            form,
            "capture",
            {"archive": path, "manifest": brief(manifest)},
            words.archive(str(path), manifest),
        )


@command.command()
@folders
@click.option(
    "--from",
    "given",
    type=PATH,
    multiple=True,
    metavar="PLACE",
    help="An archive, a folder of them, or a cache.",
)
@PYTHON
@IMAGE
@ALLOW
@click.option("--replace", is_flag=True, help="Also where something is in the cache already.")
@click.pass_context
def seed(
    ctx: click.Context,
    inductor: Path | None,
    triton: Path | None,
    form: str,
    given: tuple[Path, ...],
    python: str,
    image: str,
    allowed: tuple[str, ...],
    replace: bool,
) -> None:
    """Fill the cache from the first PLACE that has one that fits: same image, GPUs, versions.

    Give them in this order: archives on the checkpoint volume, archives in the bucket, the seed folder in the
    image, a mounted folder of single files. Without --from it is $DIAGNOSE_CACHE_FROM, separated by colons.
    Any number of ranks or containers may do so at once.
    Exit codes: 0 seeded, or warm already; 1 nothing fitted.
    """
    import os

    from diagnose.caching import places, words
    from diagnose.caching import seed as seeding

    cache, limits = of(inductor, triton)
    given = given or tuple(
        map(Path, filter(None, environ().get("DIAGNOSE_CACHE_FROM", "").split(os.pathsep)))
    )
    if not given:
        raise click.UsageError("no PLACE: give --from, or set DIAGNOSE_CACHE_FROM")
    with refusals(ctx, form, "seed"):
        if replace:
            places.require_rest(places.measure(cache))
        here = places.provenance(environ(), python, image)
        found = seeding.seed(
            cache, given, here, limits, allowed, replace, lambda line: click.echo(line, err=True)
        )
        data = {
            "source": found.source,
            "folders": found.puts,
            "refused": found.refused,
            "is_told": found.is_told,
        }
        show(form, "seed", data, words.seeded(found))
        ctx.exit(0 if found.puts else 1)


@command.command()
@folders
@click.argument("archive", type=PATH, required=False)
@PYTHON
@IMAGE
@ALLOW
@click.pass_context
def verify(
    ctx: click.Context,
    archive: Path | None,
    inductor: Path | None,
    triton: Path | None,
    form: str,
    python: str,
    image: str,
    allowed: tuple[str, ...],
) -> None:
    """Read all of ARCHIVE: is it whole, and would it serve here? Without one: is the cache as it was seeded?

    Exit codes: 0 yes, 1 no, 3 the cache was never seeded.
    """
    from diagnose.caching import places, verifying, words
    from diagnose.caching.manifest import differences

    cache, limits = of(inductor, triton)
    with refusals(ctx, form, "verify"):
        if archive is None:
            found = verifying.seeded(cache)
            show(form, "verify", {"seeded": found}, verifying.seeded_lines(found))
            ctx.exit(3 if found is None else 1 if found.missing or found.changed else 0)
        if (told := verifying.mega_cache(archive)) is not None:
            show(form, "verify", {"mega_cache": told}, verifying.mega_lines(told))
            ctx.exit(0)
        manifest = verifying.whole(archive, limits)
        here = places.provenance(environ(), python, image)
        wrong = differences(manifest.provenance, here, manifest.kinds, allowed)
        lines = [*words.archive(str(archive), manifest), *(words.row("differs", line) for line in wrong)]
        show(form, "verify", {"manifest": brief(manifest), "differs": wrong}, lines)
        ctx.exit(1 if wrong else 0)


def environ() -> dict[str, str]:
    import os

    return dict(os.environ)


def of(inductor: Path | None, triton: Path | None) -> tuple[Any, Any]:
    """The cache that is meant, and the playbook's numbers."""
    from diagnose import playbook
    from diagnose.caching import places
    from diagnose.caching.archive import Limits

    limits = playbook.read(playbook.root() / "cache.toml", Limits)
    return places.locate(environ(), inductor, triton), limits


def show(form: str, action: str, data: dict[str, Any], lines: Iterable[str]) -> None:
    """Print it to stdout, as lines or as one JSON object."""
    if form == "terminal":
        for line in lines:
            click.echo(line)
        return
    import msgspec

    body = {"schema": "diagnose/cache/1", "action": action, **data}
    click.echo(msgspec.json.format(msgspec.json.encode(body, enc_hook=str), indent=1))


def brief(manifest: Any) -> dict[str, Any]:
    """A manifest without its list of files."""
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(manifest)
    return {**told, "files": len(told["files"])}


@contextmanager
def refusals(ctx: click.Context, form: str, action: str) -> Iterator[None]:
    """What is refused is one line, and exit code 1; nothing was changed then."""
    from diagnose.caching.manifest import Refused

    try:
        yield
    except (Refused, OSError) as error:
        place = "" if isinstance(error, Refused) or not error.filename else f"{error.filename}: "
        reason = place + (getattr(error, "strerror", None) or str(error))
        if form == "json":
            show(form, action, {"refused_because": reason}, [])
        click.echo(f"diagnose: refused: {reason}", err=True)
        ctx.exit(1)


def learn(cache: Any, manifest: Any) -> None:
    """The gate goes by this run from now on; an archive is no worse where the cache cannot be written."""
    from diagnose.caching import notes

    sizes = manifest.num_entries, manifest.num_bytes
    try:
        notes.note_good(
            cache, manifest.lane, notes.Good(manifest.created, manifest.run, *sizes, manifest.provenance)
        )
    except OSError as error:
        click.echo(f"diagnose: the good run is not noted in {cache.inductor}: {error.strerror}", err=True)


def good(run: str, root: str | None) -> tuple[str, str]:
    """The id of a run that ended well, and its lane. Raises Refused."""
    from diagnose import manifest, runs
    from diagnose.caching.manifest import Refused

    try:
        path = runs.resolve(run, runs.root(root))
    except runs.NoRun as error:
        raise click.ClickException(str(error)) from None
    found = manifest.read(path)
    if found is None or found.state != "ok":
        raise Refused(f"{path.name} did not end well: {found.state if found else 'it is no run'}")
    return found.run, found.lane

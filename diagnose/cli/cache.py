"""Compile caches of Inductor and Triton: what is there, is it enough, keep a good one, bring it back."""

from pathlib import Path

import click

from diagnose.cli import _cache


@click.group()
def command() -> None:
    """The compile cache of a job started from here: $TORCHINDUCTOR_CACHE_DIR and $TRITON_CACHE_DIR.

    A cache is code that ranks run: seed only from places that only you can write to. MegaCache
    (torch.compiler.save_cache_artifacts) is another way, in the program itself: `verify` tells what it holds.
    """


@command.command()
@_cache.folders
@click.pass_context
def status(ctx: click.Context, inductor: Path | None, triton: Path | None, form: str) -> None:
    """Size and entries by kind, age, locks, and what should not be there.

    Exit codes: 0 nothing odd, 3 it cannot be read, 4 warnings.
    """
    import time

    from diagnose.caching import notes, places, words

    cache, limits = _cache.of(inductor, triton)
    found, seed = places.measure(cache), notes.seed(cache)
    warnings = words.warnings(found, limits)
    data = {"cache": found, "warnings": warnings, "seeded_from": seed.source if seed else ""}
    _cache.show(form, "status", data, words.status(found, seed, limits, time.time()))
    ctx.exit(3 if found.error else 4 if warnings else 0)


@command.command()
@_cache.folders
@_cache.LANE
@_cache.PYTHON
@_cache.IMAGE
@_cache.ALLOW
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

    cache, limits = _cache.of(inductor, triton)
    least = gating.threshold(cache, lane, limits, min_entries, min_bytes)
    found = gating.ask(places.measure(cache), least, _cache.environ(), python, image, allowed)
    _cache.show(form, "gate", {"lane": lane, "gate": found}, words.gate(found))
    ctx.exit({True: 0, False: 1, None: 3}[found.is_open])


@command.command()
@_cache.folders
@click.argument("to", type=_cache.PATH)
@_cache.LANE
@_cache.PYTHON
@_cache.IMAGE
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

    cache, limits = _cache.of(inductor, triton)
    with _cache.refusals(ctx, form, "capture"):
        name, own = _cache.good(run, root) if run else ("", "")
        is_told = ctx.get_parameter_source("lane") is not click.core.ParameterSource.DEFAULT
        lane = lane if is_told else own or lane
        here = places.provenance(_cache.environ(), python, image)
        places.require_rest(places.measure(cache))
        manifest = capturing.describe(cache, here, limits, lane, name)
        path = capturing.capture(cache, manifest, to)
        if name:
            _cache.learn(cache, manifest)
        _cache.show(
            form,
            "capture",
            {"archive": path, "manifest": _cache.brief(manifest)},
            words.archive(str(path), manifest),
        )


@command.command()
@_cache.folders
@click.option(
    "--from",
    "given",
    type=_cache.PATH,
    multiple=True,
    metavar="PLACE",
    help="An archive, a folder of them, or a cache.",
)
@_cache.PYTHON
@_cache.IMAGE
@_cache.ALLOW
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

    cache, limits = _cache.of(inductor, triton)
    given = given or tuple(
        map(Path, filter(None, _cache.environ().get("DIAGNOSE_CACHE_FROM", "").split(os.pathsep)))
    )
    if not given:
        raise click.UsageError("no PLACE: give --from, or set DIAGNOSE_CACHE_FROM")
    with _cache.refusals(ctx, form, "seed"):
        if replace:
            places.require_rest(places.measure(cache))
        here = places.provenance(_cache.environ(), python, image)
        found = seeding.seed(
            cache, given, here, limits, allowed, replace, lambda line: click.echo(line, err=True)
        )
        data = {
            "source": found.source,
            "folders": found.puts,
            "refused": found.refused,
            "is_told": found.is_told,
        }
        _cache.show(form, "seed", data, words.seeded(found))
        ctx.exit(0 if found.puts else 1)


@command.command()
@_cache.folders
@click.argument("archive", type=_cache.PATH, required=False)
@_cache.PYTHON
@_cache.IMAGE
@_cache.ALLOW
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

    cache, limits = _cache.of(inductor, triton)
    with _cache.refusals(ctx, form, "verify"):
        if archive is None:
            found = verifying.seeded(cache)
            _cache.show(form, "verify", {"seeded": found}, verifying.seeded_lines(found))
            ctx.exit(3 if found is None else 1 if found.missing or found.changed else 0)
        if (told := verifying.mega_cache(archive)) is not None:
            _cache.show(form, "verify", {"mega_cache": told}, verifying.mega_lines(told))
            ctx.exit(0)
        manifest = verifying.whole(archive, limits)
        here = places.provenance(_cache.environ(), python, image)
        wrong = differences(manifest.provenance, here, manifest.kinds, allowed)
        lines = [*words.archive(str(archive), manifest), *(words.row("differs", line) for line in wrong)]
        _cache.show(form, "verify", {"manifest": _cache.brief(manifest), "differs": wrong}, lines)
        ctx.exit(1 if wrong else 0)

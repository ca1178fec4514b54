"""What the commands about a compile cache share: options, the cache that is meant, how an answer is told."""

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
    """What every command takes."""
    for option in (
        click.option(
            "--inductor", type=PATH, metavar="DIR", help="Default: $TORCHINDUCTOR_CACHE_DIR, else Inductor's."
        ),
        click.option("--triton", type=PATH, metavar="DIR", help="Default: $TRITON_CACHE_DIR, else Triton's."),
        click.option("--format", "form", type=click.Choice(["terminal", "json"]), default="terminal"),
    ):
        command = option(command)
    return command


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

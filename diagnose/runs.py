"""Where runs lie, and which one is meant: a path, an id or a name."""

import errno
import os
import re
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from diagnose import manifest
from diagnose.contract import Manifest


class NoRun(Exception):
    """No such run. The message says where it was looked for."""


def root(given: str | None) -> Path:
    """`--root`, else $DIAGNOSE_ROOT, else ./runs."""
    return Path(given or os.environ.get("DIAGNOSE_ROOT") or "runs")


def listed(top: Path) -> Iterator[tuple[Path, Manifest]]:
    """Every run directory under `top` with its manifest, newest first."""
    found = [(p, m) for p in (top.iterdir() if top.is_dir() else []) if (m := manifest.read(p))]
    return iter(sorted(found, key=lambda pair: (started(pair[1]) or 0.0, pair[0].name), reverse=True))


def started(found: Manifest) -> float | None:
    return found.transitions[0].time if found.transitions else None


def resolve(given: str | None, top: Path) -> Path:
    """The run that is meant: a path that is there, an id, a name (its newest run), or the newest of all.

    Raises NoRun.
    """
    if given and Path(given).exists():
        return Path(given)
    plain = given is None or (Path(given).name == given and given not in {".", ".."})
    if plain and given and (top / given).is_dir():
        return top / given
    for path, found in listed(top) if plain else ():
        if given is None or given in {found.run, found.name}:
            return path
    if given is None:
        raise NoRun(f"no runs in {top}")
    raise NoRun(f"no such path{f', and no run of that id or name in {top}' if plain else ''}: {given}")


def create(top: Path, name: str, now: float) -> Path:
    """Make TOP/<name>-<local time>, with a number if two begin in one second. Raises OSError."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-.")[:60] or "run"
    stem = f"{stem}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}"
    top.mkdir(parents=True, exist_ok=True)
    for num in range(1, 1000):
        path = top / (stem if num == 1 else f"{stem}-{num}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path.resolve()
    raise FileExistsError(f"{top}/{stem} exists 999 times")


def make(path: Path) -> Path:
    """Make just this run directory. Raises OSError, also where a run lies there already."""
    path.mkdir(parents=True, exist_ok=True)
    if manifest.path(path).exists():
        raise FileExistsError(errno.EEXIST, "there is a run already")
    return path.resolve()

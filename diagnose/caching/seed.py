"""Put a good run's compile cache in place before a job: whole or not at all.

Each folder of the cache is made beside its place, then takes it in one rename. A broken-off one is gone on
with: what is there already, and right, is not written again.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from diagnose.caching import groups, layers, notes
from diagnose.caching.archive import Limits, Summed, digest
from diagnose.caching.layers import Layer
from diagnose.caching.manifest import PARTS, File, Manifest, Provenance, Refused
from diagnose.caching.places import Cache
from diagnose.caching.placing import (
    beside,
    holds_something,
    is_at_work,
    is_ours,
    owner,
    recover,
    require_place,
    take_place,
    turn,
)
from probes.cache_kinds import INDUCTOR


class Put(NamedTuple):
    """What became of one folder: `seeded`, or `kept` because something was in it."""

    part: str
    folder: Path
    what: str


class Outcome(NamedTuple):
    """Where it was seeded from (empty: nowhere), what became of each folder, and who was refused why."""

    source: str
    manifest: Manifest | None
    puts: list[Put]
    refused: list[tuple[str, str]]
    is_told: bool = True  # what the source is of is written in it


def seed(
    cache: Cache,
    given: Sequence[Path],
    here: Provenance,
    limits: Limits,
    allowed: Sequence[str] = (),
    replace: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Seed from the first place that has something that fits. Raises Refused, OSError."""
    refused: list[tuple[str, str]] = []
    with turn(cache.inductor, say):
        for _, folder in cache.parts():
            recover(folder)
        if holds_something(cache.inductor) and not replace:
            return Outcome("", None, [Put(INDUCTOR, cache.inductor, "kept")], [])
        if busy := [folder for _, folder in cache.parts() if is_at_work(folder)]:
            raise Refused(f"a compiler is at work in {busy[0]}: what it writes would be gone")
        for path in candidates(given, refused):
            try:
                with closing(layers.layer(path.absolute(), here, limits, allowed)) as layer:
                    puts = put(cache, layer, limits, replace)
                    return Outcome(layer.name, layer.manifest, puts, refused, layer.is_told)
            except Refused as error:
                refused.append((str(path), str(error)))
    return Outcome("", None, [], refused)


def candidates(given: Iterable[Path], refused: list[tuple[str, str]]) -> Iterator[Path]:
    for place in given:
        try:
            yield from layers.places(place)
        except Refused as error:
            refused.append((str(place), str(error)))


def put(cache: Cache, layer: Layer, limits: Limits, replace: bool) -> list[Put]:
    """Seed each folder for which the layer has files. Raises Refused; nothing is changed then."""
    folders, manifest = dict(cache.parts()), layer.manifest
    wanted = {one.name.partition("/")[0] for one in manifest.files}
    if missing := wanted - folders.keys():
        raise Refused(f"it has a folder of its own for {', '.join(missing)}, this cache has none")
    parts = [part for part in PARTS if part in wanted]
    kept = {part for part in parts if not replace and holds_something(folders[part])}
    drafts = {part: draft(folders[part], manifest) for part in parts if part not in kept}
    size = sum(one.size for one in manifest.files)
    try:
        for part in drafts:
            require_place(folders[part], size)
        fill(drafts, folders, layer, limits)
        for part, path in drafts.items():
            kept |= set() if take_place(path, folders[part], replace) else {part}
    except (Refused, OSError) as error:
        for path in drafts.values():
            if is_ours(path):
                shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, OSError):
            raise Refused(f"cannot be unpacked: {error.strerror or error}") from None
        raise
    return [Put(part, folders[part], "kept" if part in kept else "seeded") for part in parts]


def draft(folder: Path, manifest: Manifest) -> Path:
    """Where a folder is made: one for each content and host, so that nobody meets another's."""
    content = hashlib.sha256(msgspec.json.encode(manifest.files)).hexdigest()[:12]
    return beside(folder, f"seed-{content}-{owner()}")


def fill(drafts: dict[str, Path], folders: dict[str, Path], layer: Layer, limits: Limits) -> None:
    """Write the files that are not there yet. Raises Refused, OSError."""
    for path in drafts.values():
        path.mkdir(mode=0o700, exist_ok=True)
        if not is_ours(path):
            raise Refused(f"{path} is somebody else's")
    with layer.reading(limits) as found:
        for file, stream in found.files:
            part, _, inside = file.name.partition("/")
            if part in drafts:
                try:
                    write(drafts[part] / inside, folders[part] / inside, file, stream)
                except OSError as error:
                    raise Refused(f"{file.name} cannot be written: {error.strerror or error}") from None
            drain(stream)
    for part, path in drafts.items():
        theirs = {one.name for one in layer.manifest.files if one.name.startswith(f"{part}/")}
        if {f"{part}/{name}" for name in present(path)} != theirs:
            raise Refused(f"{path}: somebody else writes there")
        told = notes.Seed(layer.name, round(time.time(), 3), layer.manifest)
        (path / notes.SEED).write_bytes(msgspec.json.encode(told))
        for base, _, names in os.walk(path):
            for name in names:  # all at once, at the end: one commit of a file system holds most of them
                settle(Path(base, name))
            settle(Path(base))
        path.chmod(0o755 & ~umask())


def present(folder: Path) -> Iterator[str]:
    for base, _, names in os.walk(folder):
        for name in names:
            inside = Path(base, name).relative_to(folder).as_posix()
            if inside != notes.SEED:
                yield inside


def write(path: Path, final: Path, file: File, stream: Summed) -> None:
    """One file, unless it is there already; Triton's lists of paths are made to fit the new place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if groups.is_group(file):
        path.write_bytes(groups.moved(b"".join(iter(stream.read, b"")), final.parent))
    elif not is_there(path, file):
        path.unlink(missing_ok=True)
        mode = 0o755 if file.is_executable else 0o644
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb"
        ) as target:
            for data in iter(stream.read, b""):
                target.write(data)


def drain(stream: Summed) -> None:
    """Read what is left: only then its sum is known."""
    for _ in iter(stream.read, b""):
        pass


def is_there(path: Path, file: File) -> bool:
    try:
        if path.lstat().st_size != file.size:
            return False
        with path.open("rb") as source:
            return digest(source) == file.sha256
    except OSError:
        return False


def settle(path: Path) -> None:
    """What a file holds, or a folder lists, is on disk."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def umask() -> int:
    before = os.umask(0o022)
    os.umask(before)
    return before

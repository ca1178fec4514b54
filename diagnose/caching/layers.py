"""Where a cache may be seeded from: archives, folders of archives, a folder that is a cache itself."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from diagnose.archive import open_regular
from diagnose.caching import archive, capture, notes
from diagnose.caching.archive import ENDING, Limits, Reading, Summed
from diagnose.caching.manifest import File, Manifest, Provenance, Refused, differences
from diagnose.caching.places import Cache
from probes.cache_kinds import INDUCTOR, TRITON

MAX_LISTED = 100  # archives of one folder, the newest first


class Layer(NamedTuple):
    """Something that fits: its manifest, and its files as often as they are wanted."""

    name: str
    manifest: Manifest
    file: BinaryIO | None = None
    cache: Cache | None = None
    is_told: bool = True  # what it is of is written in it, not taken to be what is here

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    @contextmanager
    def reading(self, limits: Limits) -> Iterator[Reading]:
        """Its files with their contents. Raises Refused."""
        if self.file is not None:
            with archive.reading(self.file, limits) as found:
                yield found
        else:
            yield Reading(self.manifest, self._copied())

    def _copied(self) -> Iterator[tuple[File, Summed]]:
        folders = dict(self.cache.parts()) if self.cache else {}
        for one in self.manifest.files:
            part, _, inside = one.name.partition("/")
            try:
                with open_regular(folders[part] / inside) as source:
                    stream = Summed(source)
                    yield one, stream
            except OSError as error:
                raise Refused(f"{one.name}: {error.strerror or error}") from None
            if not stream.is_of(one):
                raise Refused(f"{one.name} has changed meanwhile")


def places(given: Path) -> list[Path]:
    """The archives of a folder, the newest first; else the place itself. Raises Refused."""
    try:
        if not given.is_dir():
            return [given]
        found = [path for path in given.iterdir() if path.name.endswith(ENDING) and path.name[0] != "."]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[:MAX_LISTED] or [given]
    except OSError as error:
        raise Refused(error.strerror or str(error)) from None


def layer(path: Path, here: Provenance, limits: Limits, allowed: Sequence[str]) -> Layer:
    """What is at a place, wholly checked, if it serves here. Raises Refused."""
    if path.is_dir():
        return folder(path, here, limits, allowed)
    file = archive.opened(path)
    try:
        with archive.reading(file, limits) as found:
            require_fit(found.manifest, here, allowed)  # before all of it is read
        return Layer(str(path), archive.check(file, limits), file=file)
    except BaseException:
        file.close()
        raise


def require_fit(manifest: Manifest, here: Provenance, allowed: Sequence[str]) -> None:
    if not manifest.num_entries:
        raise Refused("it is empty")
    if wrong := differences(manifest.provenance, here, manifest.kinds, allowed):
        raise Refused(f"made for something else: {'; '.join(wrong)}")


def folder(path: Path, here: Provenance, limits: Limits, allowed: Sequence[str]) -> Layer:
    """A cache that lies in a folder, as one baked into an image does; what it is of only its note tells."""
    parts = {part: path / part for part in (INDUCTOR, TRITON) if (path / part).is_dir()}
    if not parts or (path / "fxgraph").is_dir():
        parts = {INDUCTOR: path}
    cache = Cache(inductor=parts.get(INDUCTOR, path / INDUCTOR), triton=parts.get(TRITON))
    told = notes.seed(cache)
    of, lane = (told.manifest.provenance, told.manifest.lane) if told else (here, "")
    manifest = capture.describe(cache, of, limits, lane, run="")
    require_fit(manifest, here, allowed)
    return Layer(str(path), manifest, cache=cache, is_told=told is not None)

"""After a good run: its compile cache as one archive, there as a whole or not at all."""

import fcntl
import io
import os
import re
import stat
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from diagnose.archive import open_regular
from diagnose.caching.archive import CHUNK, ENDING, Limits, Summed, digest
from diagnose.caching.manifest import NAME, File, Manifest, Provenance, Refused, wrong
from diagnose.caching.places import Cache
from diagnose.caching.placing import DRAFT_S, lock, owner
from probes.cache_kinds import LEFT_OUT, kind


def listed(cache: Cache) -> Iterator[tuple[str, Path]]:
    """The files worth carrying, by their name in an archive; links and special files are none."""
    for part, folder in cache.parts():
        for base, _, names in os.walk(folder):
            for name in names:
                path = Path(base, name)
                inside = path.relative_to(folder).as_posix()
                if kind(part, inside) in LEFT_OUT or wrong(f"{part}/{inside}"):
                    continue
                with suppress(OSError):
                    if stat.S_ISREG(path.lstat().st_mode):
                        yield f"{part}/{inside}", path


def described(name: str, path: Path) -> File:
    """One file with its sum. Raises OSError."""
    with open_regular(path) as file:
        found = os.fstat(file.fileno())
        return File(name, found.st_size, digest(file), bool(found.st_mode & stat.S_IXUSR))


def describe(cache: Cache, provenance: Provenance, limits: Limits, lane: str, run: str) -> Manifest:
    """What an archive of this cache would say of itself. Raises Refused."""
    files = []
    for name, path in sorted(listed(cache)):
        with suppress(FileNotFoundError):  # a job that compiles replaces files
            files.append(described(name, path))
    found = Manifest(files, provenance, created=round(time.time(), 3), lane=lane, run=run)
    if not found.num_entries:
        raise Refused(f"{cache.inductor}: nothing compiled is in it")
    if len(files) > limits.max_files or found.num_bytes > limits.max_bytes:
        raise Refused(f"{len(files)} files with {found.num_bytes} bytes: more than is taken back")
    return found


def capture(cache: Cache, manifest: Manifest, to: Path) -> Path:
    """Write the archive into the folder `to`, or as that file. Raises Refused, OSError."""
    folder = to.parent if to.name.endswith(ENDING) else to
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    lane = re.sub(r"[^A-Za-z0-9_-]+", "-", manifest.lane)[:40] or "cache"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(manifest.created))
    target = to if to.name.endswith(ENDING) else folder / f"{lane}-{stamp}-{os.getpid()}{ENDING}"
    draft, file = begun(folder, target.name)
    with file:
        try:
            write(cache, manifest, file)
            file.flush()
            os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    return target


def begun(folder: Path, name: str) -> tuple[Path, BinaryIO]:
    """A draft beside its place, locked: one that nobody holds is removed by whoever finds it."""
    draft = folder / f".{name}.{owner()}.{os.getpid()}.draft"
    while True:
        file = draft.open("xb")
        lock(file.fileno(), fcntl.LOCK_EX)
        if draft.exists():  # else it was found before it was locked
            return draft, file
        file.close()


def sweep(folder: Path) -> None:
    """Remove drafts whose writer was killed; of other hosts, whose locks are not seen, only old ones."""
    for draft in folder.glob(f".*{ENDING}.*.draft"):
        with suppress(OSError), draft.open("rb") as file:
            lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if f".{owner()}." in draft.name or time.time() - draft.stat().st_mtime > DRAFT_S:
                draft.unlink()


def write(cache: Cache, manifest: Manifest, file: BinaryIO) -> None:
    """The manifest, then each file as it was described. Raises Refused where one has changed since."""
    body = msgspec.json.encode(manifest)
    folders = dict(cache.parts())
    with (
        zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as tar,
    ):
        tar.addfile(header(NAME, len(body), False), io.BytesIO(body))
        for one in manifest.files:
            part, _, path = one.name.partition("/")
            try:
                with open_regular(folders[part] / path) as source:
                    stream = Summed(source)
                    tar.addfile(header(one.name, one.size, one.is_executable), stream)
            except OSError as error:
                raise Refused(f"{one.name}: {error.strerror or error}: does a job still compile?") from None
            if not stream.is_of(one):
                raise Refused(f"{one.name} has changed meanwhile: does a job still compile?")


def header(name: str, size: int, is_executable: bool) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o755 if is_executable else 0o644
    return info

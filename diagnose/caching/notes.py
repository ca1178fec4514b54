"""What we note in a cache itself: what it was seeded with, and how large it was after the last good runs."""

from pathlib import Path

import msgspec

from diagnose.archive import open_regular
from diagnose.caching.manifest import Manifest, Provenance
from diagnose.caching.places import Cache
from probes.files import atomic_write

SEED, GOOD = ".diagnose-seed.json", ".diagnose-good.json"
MAX_NOTE = 64 << 20
MAX_LANES = 100


class Seed(msgspec.Struct, frozen=True):
    """`source` is the archive or folder that the cache was seeded from, at `time`."""

    source: str
    time: float
    manifest: Manifest


class Good(msgspec.Struct, frozen=True):
    """A lane's cache after its last good run."""

    time: float
    run: str
    num_entries: int
    num_bytes: int
    provenance: Provenance


def read(path: Path) -> bytes:
    """A note; empty where there is none."""
    try:
        with open_regular(path) as file:
            return file.read(MAX_NOTE)
    except OSError:
        return b""


def seed(cache: Cache) -> Seed | None:
    """What the cache was seeded with, if it was."""
    for _, folder in cache.parts():
        try:
            return msgspec.json.decode(read(folder / SEED), type=Seed)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return None


def goods(cache: Cache) -> dict[str, Good]:
    """lane -> its last good run."""
    try:
        return msgspec.json.decode(read(cache.inductor / GOOD), type=dict[str, Good])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def note_good(cache: Cache, lane: str, good: Good) -> None:
    """Remember a good run; of the others the newest stay. Raises OSError."""
    kept = sorted(goods(cache).items(), key=lambda pair: pair[1].time)[-MAX_LANES:]
    atomic_write(cache.inductor / GOOD, msgspec.json.encode({**dict(kept), lane: good}))

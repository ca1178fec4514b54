"""What an archive of a compile cache says of itself, and what the code in it is bound to."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from probes.cache_kinds import COUNTED, INDUCTOR, NOTES, TRITON, entry, kind

SCHEMA = "diagnose/cache/1"
NAME = "manifest.json"  # the first member
MAX_MANIFEST = 64 << 20
PARTS = (TRITON, INDUCTOR)  # in the order in which they are put in place
LATEST = 1e11  # unix s: later times cannot be written as dates
UNKNOWN = "not known"
FIELDS = ("image", "gpu", "num_gpus", "torch", "cuda", "hip", "triton", "python", "cpu")
_NAME = re.compile(r"(?:inductor|triton)(?:/[^/\x00-\x1f\x7f\\\ud800-\udfff]{1,255}){1,24}")


class Refused(Exception):
    """It is not done, and nothing was changed. The message is one line."""


class Provenance(msgspec.Struct, frozen=True):
    """What compiled code is bound to; empty or None: not known. `gpu` is the driver's name, or `none`."""

    image: str = ""
    gpu: str = ""
    num_gpus: int | None = None
    torch: str = ""
    cuda: str = ""
    hip: str = ""
    triton: str = ""
    python: str = ""
    cpu: str = ""


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file; `name` begins with its part."""

    name: str
    size: int
    sha256: str
    is_executable: bool = False


class Manifest(msgspec.Struct, frozen=True):
    """`manifest.json` of an archive. Readers pass over keys that they do not know."""

    files: list[File]
    provenance: Provenance
    created: float
    lane: str = ""
    run: str = ""
    num_entries: int = 0  # these three follow from the files, and are never taken from elsewhere
    num_bytes: int = 0
    kinds: dict[str, int] = {}  # entries of each
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        kinds = counted(self.files)
        msgspec.structs.force_setattr(self, "kinds", kinds)
        msgspec.structs.force_setattr(self, "num_entries", sum(kinds.get(one, 0) for one in COUNTED))
        msgspec.structs.force_setattr(self, "num_bytes", sum(one.size for one in self.files))


def counted(files: Iterable[File]) -> dict[str, int]:
    """Entries of each kind."""
    found = set()
    for one in files:
        part, _, path = one.name.partition("/")
        found.add((kind(part, path), part, entry(part, path)))
    return dict(sorted(Counter(what for what, _, _ in found).items()))


def decode(data: bytes) -> Manifest:
    """A manifest whose every name and number may be used. Raises Refused."""
    try:
        found = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"its manifest cannot be read: {str(error)[:200]}") from None
    if found.schema != SCHEMA:
        raise Refused(f"its manifest is of another kind: {found.schema[:60]!r}")
    if not 0 <= found.created < LATEST:
        raise Refused(f"its manifest is of no time: {found.created}")
    names = {one.name for one in found.files}
    if len(names) != len(found.files):
        raise Refused("its manifest names a file twice")
    for one in found.files:
        why = wrong(one.name)
        if why:
            raise Refused(f"{why}: {one.name[:120]!r}")
        if one.size < 0 or not re.fullmatch(r"[0-9a-f]{64}", one.sha256):
            raise Refused(f"its manifest has no size or sum of {one.name[:120]!r}")
    folders = {name[:end] for name in names for end in slashes(name)}
    if both := names & folders:
        raise Refused(f"a file and a folder at once: {min(both)[:120]!r}")
    return found


def slashes(name: str) -> Iterator[int]:
    return (found.start() for found in re.finditer("/", name))


def wrong(name: str) -> str:
    """Why nothing of this name is written; empty where it may be.

    >>> wrong("inductor/fv/cfv.py"), wrong("inductor/../../etc/passwd"), wrong("/etc/passwd")
    ('', 'a name that leads out of the cache', 'a name that is no part of a cache')
    """
    if any(part in {"..", "."} for part in name.split("/")):
        return "a name that leads out of the cache"
    is_note = name.partition("/")[2].startswith(NOTES)
    return "" if _NAME.fullmatch(name) and not is_note else "a name that is no part of a cache"


def differences(
    theirs: Provenance, here: Provenance, kinds: Mapping[str, int], allowed: Sequence[str] = ()
) -> list[str]:
    """Why code of `theirs` does not serve here. What only one side knows is a difference too."""
    found = []
    for field in FIELDS:
        then, now = getattr(theirs, field), getattr(here, field)
        if field == "cpu":
            is_same = not kinds.get("library") or set(str(then).split()) <= set(str(now).split())
        elif field == "python":
            is_same = str(then).split(".")[:2] == str(now).split(".")[:2]
        else:
            is_same = then == now
        if not is_same and field not in allowed:
            found.append(f"{field} {word(then)} there, {word(now)} here")
    return found


def word(value: object) -> str:
    return UNKNOWN if value in ("", None) else str(value)


def entries(num: int) -> str:
    return "1 entry" if num == 1 else f"{num} entries"

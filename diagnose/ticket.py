"""A run as one small archive for a support ticket: what happened, on what that rests, and no secret."""

import os
import re
import tarfile
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from diagnose import bundle, reader, text
from diagnose.cleaning import Cleaned, Refused, clean
from diagnose.model import Event
from diagnose.pipeline import parse
from diagnose.playbook import Playbook
from diagnose.verdict import Verdict, encode

README, REDACTED = "README-bundle.md", "redacted.json"
LIMIT = 20 << 20  # bytes: what trackers and mailers mostly take
SPARE = 256 << 10  # of them for what is written last
PLACE = re.compile(r"(.+?)(?::(\d+))?(?:#entry=\d+)?$")
# What a reader of a ticket wants first; the rest by name.
ORDER = (
    *("record.json", "verdict.json", "manifest.json"),
    *("platform/", "events/", "errors/", "stacks/", "host/", "flight/"),
)


class File(NamedTuple):
    """One file of the bundle, or why it stayed behind."""

    path: str
    size: int
    cleaned: Cleaned | None = None
    left: str = ""


class Ticket(NamedTuple):
    """What was packed. `again`: the verdict that the bundle alone gives."""

    run: str
    files: list[File]
    verdict: Verdict
    again: Verdict
    manifest: Mapping[str, object]
    events: Sequence[Event]
    excerpts: list[
        tuple[str, str, str]
    ]  # a place that the verdict cites, why, and the line that stands there

    @property
    def is_same(self) -> bool:
        return outcome(self.verdict) == outcome(self.again)

    @property
    def num_hidden(self) -> int:
        return sum(one.num for f in self.files if f.cleaned for one in f.cleaned.hidden)


def outcome(verdict: Verdict) -> object:
    return verdict.symptom, [(cause.failure, cause.ranks) for cause in verdict.causes]


def gather(run: Path, folder: Path, book: Playbook, limit: int = LIMIT) -> Ticket:
    """Lay the bundle out in an empty folder. Raises OSError, bundle.BundleError."""
    verdict = reader.examine(run, run.name, book)
    events = parse(bundle.members(str(run)))[0]
    wanted: dict[str, set[int]] = defaultdict(set)
    for event in events:
        if found := PLACE.match(event.where):
            wanted[found[1]].add(int(found[2] or 0))
    cited = {c.where: c.text for cause in verdict.causes for c in cause.evidence if c.where}
    first = {where.partition(":")[0] for where in cited}
    files, left = list[File](), limit - SPARE
    for path in sorted(found_in(run), key=lambda path: rank(path, first)):
        one = put(run, path, folder, wanted.get(path, set()), left)
        left -= one.size if not one.left else 0
        files.append(one)
    raw = msgspec.json.decode((folder / "manifest.json").read_bytes())
    if not (folder / "verdict.json").exists():  # of a run that still goes on, or cannot be written to
        (folder / "verdict.json").write_bytes(encode(verdict))
        files.append(File("verdict.json", packed_size(folder / "verdict.json"), Cleaned([], 0, 0)))
    return Ticket(
        run=str(raw.get("run") or run.name),
        files=files,
        verdict=verdict,
        again=reader.judge(folder, run.name, book),
        manifest=raw,
        events=events,
        excerpts=[(where, text, excerpt(folder, where)) for where, text in cited.items()],
    )


def found_in(run: Path) -> Iterator[str]:
    """Regular files of the run, no links, no drafts."""
    for base, _, names in os.walk(run):
        for name in names:
            path = Path(base, name)
            if path.is_file() and not path.is_symlink() and not name.endswith(".tmp"):
                yield path.relative_to(run).as_posix()


def rank(path: str, first: set[str]) -> tuple[int, int, str]:
    """What goes in first, while there is room: our own words, what the verdict cites, then by kind."""
    kind = next((n for n, part in enumerate(ORDER) if part in path), len(ORDER))
    return (0 if kind < 3 else 1 if path in first else 2), kind, path


def put(run: Path, path: str, folder: Path, wanted: set[int], room: int) -> File:
    """Clean one file into the folder, where there is room for it."""
    target = folder / path
    try:
        if room <= 0:
            raise Refused("no room left")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            cleaned = clean(run / path, stream, wanted)
        size = packed_size(target)
        if size > room:
            raise Refused(f"{size >> 10} KiB, and no room for it")
        return File(path, size, cleaned)
    except (Refused, OSError) as error:
        target.unlink(missing_ok=True)
        return File(path, 0, left=str(error))


def packed_size(path: Path) -> int:
    """How many bytes it takes in the archive."""
    squeeze, size = zlib.compressobj(6), 512
    with path.open("rb") as stream:
        while data := stream.read(1 << 20):
            size += len(squeeze.compress(data))
    return size + len(squeeze.flush())


def excerpt(folder: Path, where: str) -> str:
    """The line that a place names, as the bundle has it."""
    path, _, line = where.rpartition(":")
    if not line.isdecimal() or not (folder / path).is_file():
        return ""
    with (folder / path).open("rb") as stream:
        said = next((said for number, said in text.lines(stream) if number == int(line)), "")
    return said.rstrip().rpartition("\r")[2].strip()[:300]  # what a progress bar overwrote is gone


def listed(files: Sequence[File]) -> list[dict[str, object]]:
    """What was hidden where, for `redacted.json`."""
    return [
        {
            "file": f.path,
            "hidden": [{"line": one.line or None, "num": one.num} for one in f.cleaned.hidden],
            "hidden_when_written": f.cleaned.num_before,
        }
        for f in files
        if f.cleaned and (f.cleaned.hidden or f.cleaned.num_before)
    ]


def pack(folder: Path, target: Path, name: str, paths: Sequence[str]) -> int:
    """Write the folder's files as one `.tar.gz`, in this order, under `name/`; its size. Raises OSError."""
    number, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(number, "wb") as stream, tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for path in paths:
                info = archive.gettarinfo(folder / path, f"{name}/{path}")
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                with (folder / path).open("rb") as source:
                    archive.addfile(info, source)
        size = Path(draft).stat().st_size
        Path(draft).replace(target)
        return size
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise

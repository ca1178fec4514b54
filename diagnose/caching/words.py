"""What the commands print of a cache, a line each."""

import time
from collections.abc import Iterator

from diagnose.caching.archive import Limits
from diagnose.caching.gate import NEXT, Gate
from diagnose.caching.manifest import FIELDS, UNKNOWN, Manifest, entries, word
from diagnose.caching.notes import Seed
from diagnose.caching.places import Measured, Part
from diagnose.caching.seed import Outcome
from diagnose.render.rows import clock, count, safe

NUM_ODD = 8


def row(label: str, text: str) -> str:
    return f"{label:10}{safe(text)}"


def size(num: float) -> str:
    """
    >>> size(812), size(339_691), size(5_400_000_000)
    ('812 B', '340 kB', '5.4 GB')
    """
    units = (("GB", 1e9, 1), ("MB", 1e6, 1), ("kB", 1e3, 0))
    unit, least, digits = next((one for one in units if num >= one[1]), ("B", 1, 0))
    return f"{num / least:.{digits}f} {unit}"


def warnings(found: Measured, limits: Limits) -> list[str]:
    """What a person should look at, over all folders."""
    told = []
    for part in found.parts:
        told += [f"{part.folder}/{one['path']}: {one['what']}" for one in part.odd[:NUM_ODD]]
        if part.num_odd > NUM_ODD:
            told.append(f"{part.folder}: {part.num_odd - NUM_ODD} more of the kind")
        told += [
            f"{part.folder}/{one['path']}: process {one['pid']} has locked it for {clock(one['for_s'])}"
            for one in part.held or []
            if one["for_s"] > limits.lock_s
        ]
    return told


def status(found: Measured, seed: Seed | None, limits: Limits, now: float) -> Iterator[str]:
    """Both folders, kind by kind."""
    for part in found.parts:
        yield row(part.part, part.folder)
        yield from folder(part, now)
    if seed:
        of = seed.manifest
        yield row("seeded", f"from {seed.source}, {entries(of.num_entries)}, {clock(now - seed.time)} ago")
    if found.error:
        yield row("error", found.error)
    for line in warnings(found, limits):
        yield row("warning", line)


def folder(part: Part, now: float) -> Iterator[str]:
    for kind, told in part.kinds.items():
        num, files = entries(told["entries"]), count(told["files"], "file")
        yield f"{'':10}{kind:10}{num:>14}{files:>14}{size(told['bytes']):>10}"
    if part.newest is None or part.oldest is None:
        yield row("", "empty" if not part.error else part.error)
        return
    ages = f"newest {clock(now - part.newest)} old, oldest {clock(now - part.oldest)}"
    yield row("", f"{entries(part.num_entries)} that count, {size(part.num_bytes)}; {ages}")
    if part.kinds.get("lock"):
        held = "not known who holds them" if part.held is None else f"{len(part.held)} held"
        yield row("", f"{count(part.kinds['lock']['files'], 'lock')}, {held}")
    if part.kinds.get("draft"):
        yield row(
            "",
            f"{count(part.kinds['draft']['files'], 'file')} half written: a compiler is at it, or was killed",
        )
    if part.is_open:
        yield row("", "every user of this machine may read it")


def gate(found: Gate) -> Iterator[str]:
    """May it start, and why."""
    state = {True: "open", False: "closed", None: "cannot tell"}[found.is_open]
    yield row("gate", f"{state}: {found.reason}")
    least = found.threshold
    yield row("least", f"{entries(least.num_entries)}, {size(least.num_bytes)}; {least.learnt_from}")
    if found.is_open is False:
        yield row("next", NEXT)


def archive(place: str, manifest: Manifest) -> Iterator[str]:
    """What an archive is, and is of."""
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(manifest.created))
    yield row("archive", place)
    yield row(
        "holds",
        f"{entries(manifest.num_entries)}, {count(len(manifest.files), 'file')}, {size(manifest.num_bytes)}",
    )
    yield row("made", f"{made}, lane {manifest.lane or 'not known'}, run {manifest.run or 'not known'}")
    of = {field: word(getattr(manifest.provenance, field)) for field in FIELDS}
    yield row("of", ", ".join(f"{field} {text}" for field, text in of.items() if text != UNKNOWN))
    yield row(
        "", f"{UNKNOWN}: {', '.join(field for field, text in of.items() if text == UNKNOWN) or 'nothing'}"
    )


def seeded(found: Outcome) -> Iterator[str]:
    """Where it was seeded from, and who was refused."""
    for place, reason in found.refused:
        yield row("refused", f"{place}: {reason}")
    for one in found.puts:
        why = ": something is in it already (--replace)" if one.what == "kept" else ""
        yield row(one.what, f"{one.folder}{why}")
    if found.manifest:
        yield row(
            "from", f"{found.source}, {entries(found.manifest.num_entries)}, {size(found.manifest.num_bytes)}"
        )
        if not found.is_told:
            yield row("warning", "nothing in it tells what it is of: taken for this image, GPUs and versions")
    elif not found.puts:
        yield row("seeded", "nothing: no place had a cache that fits")

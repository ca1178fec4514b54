"""Which volume holds what: what should lie apart on one volume, data that ranks read over a network."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from diagnose.model import Event, Evidence, Fact, FactKind, fold

KINDS = {
    "volume.shared": FactKind(
        "one volume holds several of checkpoints, cache, data and diagnostics; data: point, filesystem, "
        "volume, holds (how many of these)",
        ("agent",),
    ),
    "data.read_remotely": FactKind(
        "ranks read data through a FUSE or network mount; data: point, filesystem, volume, num_ranks",
        ("agent",),
    ),
}
KNOWN = ("checkpoints", "cache", "data", "diagnostics")
PASSING = {"tmpfs", "ramfs", "devtmpfs"}  # gone with the host: nobody keeps state there
MAX_PATH = 200


class Volume(NamedTuple):
    """What all ranks have on one mount: kind -> (path, how), ranks that read data there; an event of each."""

    row: Mapping[str, object]
    holds: dict[str, tuple[str, str]]
    readers: dict[int, Event]
    events: list[Event]


def derive(evidence: Evidence) -> Iterable[Fact]:
    for point, one in sorted(volumes(evidence).items()):
        if one.row.get("root") is True or one.row.get("filesystem") in PASSING:
            continue
        data: dict[str, object] = {
            "point": point,
            "filesystem": str(one.row.get("filesystem", "")),
            "volume": str(one.row.get("volume", "")),
        }
        if len(one.holds) > 1:
            told = "; ".join(f"{what} ({one.holds[what][0]})" for what in KNOWN if what in one.holds)
            yield Fact(
                kind="volume.shared",
                text=f"{point} ({data['filesystem']}) holds {told}",
                data=data | {"holds": len(one.holds)},
                events=one.events[:4],
            )
        if one.row.get("remote") is True and one.readers:
            path = one.holds["data"][0]
            yield Fact(
                kind="data.read_remotely",
                text=f"ranks {fold(list(one.readers))} read {path} through {point} ({data['filesystem']})",
                data=data | {"num_ranks": len(one.readers)},
                events=list(one.readers.values())[:4],
            )


def volumes(evidence: Evidence) -> dict[str, Volume]:
    """By mount point, over all ranks; a file that is open says more than a folder that was only named."""
    found: dict[str, Volume] = {}
    for event in evidence.of("volumes.read"):
        rows = event.data.get("volumes")
        for row in rows if isinstance(rows, list) else ():
            holds = row.get("holds") if isinstance(row, dict) else None
            if not isinstance(holds, dict) or not isinstance(point := row.get("point"), str):
                continue
            one = found.setdefault(point, Volume(row, {}, {}, []))
            one.events.append(event)
            for what, held in holds.items():
                if what in KNOWN and isinstance(held, dict):
                    path, how = str(held.get("path", ""))[:MAX_PATH], str(held.get("how", ""))
                    if what not in one.holds or one.holds[what][1] == "told":
                        one.holds[what] = path, how
                    if what == "data" and how != "told" and event.rank is not None:
                        one.readers.setdefault(event.rank, event)
    return found

"""Event lines as they lie in a run directory, for readers that need no more than that."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from diagnose.model import integer, number
from probes.files import contents

Line = dict[str, object]
LARGEST = 1 << 30  # bytes of one segment


def lines(run: Path, is_meant: Callable[[str], object] = bool) -> Iterator[Line]:
    """Every event line of a run directory, in the order of the files; what is torn is passed over.

    `is_meant`: of a file's name, whether it is read.
    """
    decode = msgspec.json.Decoder().decode
    for path in sorted(run.glob("attempts/*/events/*.jsonl")):
        if not is_meant(path.name):
            continue
        try:
            data = contents(path, LARGEST)
        except OSError:
            continue
        for text in data.splitlines():
            try:
                line = decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if isinstance(line, dict) and isinstance(line.get("event"), str):
                yield line


def moment(line: Line, first: Line) -> float | None:
    """When a line was written, by the clock of `first`: the wall clock may have been set in between."""
    told, begun = number(line.get("time")), number(first.get("time"))
    monos = number(line.get("mono")), number(first.get("mono"))
    if told is None or begun is None or monos[0] is None or monos[1] is None:
        return told
    even = begun + monos[0] - monos[1]
    return even if abs(even - told) > 1 else told


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


Kinds = Mapping[str, list[Line]]


def by_kind(events: Iterable[Line]) -> dict[str, list[Line]]:
    kinds: dict[str, list[Line]] = defaultdict(list)
    for line in events:
        kinds[text(line["event"])].append(line)
    return kinds


def by_rank(kinds: Kinds) -> dict[int, dict[str, list[Line]]]:
    """rank -> its own lines, of its last attempt alone once it was claimed in one."""
    ranks: dict[int, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for kind, group in kinds.items():
        for line in group:
            if (rank := integer(line.get("rank"))) is not None:
                ranks[rank][kind].append(line)
    return ranks


def strings(value: object) -> dict[str, str]:
    """The entries of a mapping whose values are texts."""
    return {str(k): v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}


def first(lines: Iterable[Line]) -> Line:
    return next(iter(lines), {})

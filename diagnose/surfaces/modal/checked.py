"""The report of a pre-flight on Modal, with what only the platform knows.

It comes by the volume, else in the call's result. A container that was killed leaves none, but the lines that
its probe had said.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from diagnose.preflight import measured
from diagnose.preflight.joining import join
from diagnose.preflight.measured import Measured
from diagnose.preflight.saving import LINES, NAME
from diagnose.surfaces.modal.collect import words
from diagnose.surfaces.modal.seen import STEP, attempts, tries
from diagnose.values import string

MOST_NODES = 64


class _Said(msgspec.Struct):
    event: str
    check: str = ""


def find(run: Path, wanted: Iterable[str] = ()) -> Measured | None:
    """What the newest container that told something measured, with where it was; None where there is nothing.

    Of a cluster what all of its nodes did. `wanted`: the checks that were to be made.
    """
    told = containers(run)
    for group in reversed(tries(attempts(words(run)))):
        by_node = {one.node_index or 0: told_by(run, one.name, told, wanted) for one in group}
        if not any(by_node.values()):
            continue
        num = min(group[0].num_nodes, MOST_NODES)
        if num == 1:
            return next(iter(by_node.values()))
        names = [*wanted] or sorted({name for one in by_node.values() if one for name in one.wanted})
        silent = Measured(wanted=names)
        return join({f"node-{index}": by_node.get(index) or silent for index in range(num)})
    return None


def told_by(
    run: Path, attempt: str, told: Mapping[str, Mapping[str, object]], wanted: Iterable[str]
) -> Measured | None:
    """What one container measured; None where it told nothing."""
    folder = run / "attempts" / attempt
    for path in (folder / NAME, folder / LINES):
        with suppress(OSError, ValueError):
            found = measured.read(path, wanted)
            return msgspec.structs.replace(found, platform=platform(attempt, told.get(attempt, {})))
    return None


def under_way(run: Path, found: Measured) -> list[str]:
    """The checks that had begun when a container was killed, and were not made."""
    return [
        name
        for attempt in found.platform.get("container", "").split(", ")
        for name in open_checks(run / "attempts" / attempt / LINES)
    ]


def open_checks(path: Path) -> list[str]:
    """Checks that had begun, as far as lines are left."""
    begun, made = dict[str, None](), set[str]()
    with suppress(OSError):
        for text in path.read_bytes().splitlines():
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                said = msgspec.json.decode(text, type=_Said)
                begun |= {said.check: None} if said.event == "check.started" else {}
                made |= {said.check} if said.event == "check.made" else set()
    return [name for name in begun if name and name not in made]


def containers(run: Path) -> dict[str, Mapping[str, object]]:
    """The containers that began, oldest first: task id -> its first word."""
    first = [line for line in words(run) if line.get("event") == "container.started"]
    first.sort(key=lambda line: time if isinstance(time := line.get("time"), float) else 0.0)
    named = ((str(line.get("attempt")), line) for line in first)
    return {name: line for name, line in named if STEP.fullmatch(name)}


def platform(attempt: str, told: Mapping[str, object]) -> dict[str, str]:
    """What only the platform knows.

    >>> platform("ta-1", {"region": "us-east", "cloud_provider": "CLOUD_PROVIDER_AWS", "image_id": ""})
    {'name': 'modal', 'container': 'ta-1', 'region': 'us-east', 'cloud': 'aws'}
    """
    names = {"region": "region", "cloud": "cloud_provider", "image": "image_id"}
    known = {name: string(told.get(key) or "", 100) for name, key in names.items()}
    known["cloud"] = known["cloud"].removeprefix("CLOUD_PROVIDER_").lower()
    return {"name": "modal", "container": attempt} | {name: text for name, text in known.items() if text}

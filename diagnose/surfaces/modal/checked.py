"""The report of a pre-flight on Modal, with what only the platform knows.

It comes by the volume, else in the call's result. A container that was killed leaves none, but the lines that
its probe had said.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from diagnose.preflight import measured
from diagnose.preflight.measured import Measured
from diagnose.preflight.saving import LINES, NAME
from diagnose.surfaces.modal.collect import words
from diagnose.surfaces.modal.seen import STEP
from diagnose.values import string


class _Started(msgspec.Struct, tag_field="event", tag="check.started"):
    check: str


def find(run: Path, wanted: Iterable[str] = ()) -> Measured | None:
    """What the newest container that told something measured, with where it was; None where there is nothing.

    `wanted`: the checks that were to be made.
    """
    for attempt, told in reversed(containers(run).items()):
        folder = run / "attempts" / attempt
        for path in (folder / NAME, folder / LINES):
            with suppress(OSError, ValueError):
                found = measured.read(path, wanted)
                return msgspec.structs.replace(found, platform=platform(attempt, told))
    return None


def under_way(run: Path, found: Measured) -> list[str]:
    """The checks that had begun when a container was killed, and were not made."""
    path = run / "attempts" / found.platform.get("container", "") / LINES
    made, begun = {one.check for one in found.checks}, dict[str, None]()
    with suppress(OSError):
        for text in path.read_bytes().splitlines():
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                begun[msgspec.json.decode(text, type=_Started).check] = None
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

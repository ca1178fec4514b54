"""What the probe said, as types: its event lines, or the same inside a saved report."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from diagnose.model import Scalar

MOST_BYTES = 32 << 20  # of one file
UNMADE = {
    "interrupted": "interrupted before it was made",
    "lost": "the probe ended before it was made",
}


class Measurement(msgspec.Struct, frozen=True):
    """What was read of one subject, or why nothing could be (`skip`)."""

    subject: str
    where: str
    values: dict[str, Scalar] = {}
    skip: str = ""


class Made(msgspec.Struct, frozen=True):
    """What became of one check: measurements, or why there are none."""

    check: str
    took_s: float = 0.0
    measurements: list[Measurement] = []
    skip: str = ""
    error: str = ""
    unanswered: bool = False  # killed at its deadline
    chosen: bool = False  # the user left it out
    made_at: str = "fast"
    needs: list[str] = []
    cost: list[str] = []
    on_node: str = ""  # where several made it; `node` of an event line is who said it


class Machine(msgspec.Struct, frozen=True):
    kernel: str = ""
    release: str = ""
    num_cpus: int = 0
    num_gpus: int = 0
    num_rdma: int = 0


class Target(msgspec.Struct, frozen=True):
    command: list[str] = []
    python: str = ""
    gpu: str = ""
    is_pinned: bool = False
    num_gpus: int = 0
    num_ranks: int = 0
    num_nodes: int = 1
    folders: list[str] = []
    settings: dict[str, float] = {}
    platforms: dict[str, dict[str, float]] = {}
    level: str = "default"


class Measured(msgspec.Struct, frozen=True):
    """All of one pre-flight, unjudged. `how`: ended, interrupted, or lost where the probe itself died."""

    node: str = ""
    time: float = 0.0
    took_s: float = 0.0
    how: str = "lost"
    machine: Machine = msgspec.field(default_factory=Machine)
    target: Target = msgspec.field(default_factory=Target)
    checks: list[Made] = []
    left: list[str] = []  # of a deeper level
    wanted: list[str] = []  # what was to be made; one that is missing among the checks was not reached
    platform: dict[str, str] = {}  # where it was made, in the words of who rents it out

    def unmade(self) -> list[Made]:
        """Those that were wanted and not reached, each with why."""
        there = {one.check for one in self.checks} | {*self.left}
        why = UNMADE.get(self.how, "the probe said nothing of it")
        return [Made(name, skip=why) for name in self.wanted if name not in there]


class _Line(msgspec.Struct, frozen=True):
    event: str
    node: str = ""
    time: float = 0.0


class _Begun(msgspec.Struct, frozen=True):
    machine: Machine
    target: Target


class _Ended(msgspec.Struct, frozen=True):
    how: str
    took_s: float


class _Left(msgspec.Struct, frozen=True):
    check: str


class _Saved(msgspec.Struct, frozen=True):
    measured: Measured


def of_lines(lines: Iterable[bytes], wanted: Iterable[str] = ()) -> Measured:
    """From event lines; what cannot be read is passed over, and so is missing."""
    found, checks, left = Measured(), dict[str, Made](), list[str]()
    for line in lines:
        try:
            said = msgspec.json.decode(line, type=_Line)
            if said.event == "checks.begun":
                begun = msgspec.json.decode(line, type=_Begun)
                found = Measured(said.node, said.time, machine=begun.machine, target=begun.target)
            elif said.event == "check.made":
                made = msgspec.json.decode(line, type=Made)
                checks[made.check] = made
            elif said.event == "check.left":
                left.append(msgspec.json.decode(line, type=_Left).check)
            elif said.event == "checks.ended":
                ended = msgspec.json.decode(line, type=_Ended)
                found = msgspec.structs.replace(found, how=ended.how, took_s=ended.took_s)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    rest = {"checks": list(checks.values()), "left": left, "wanted": sorted(set(wanted) or checks.keys())}
    return msgspec.structs.replace(found, **rest)


def read(path: Path, wanted: Iterable[str] = ()) -> Measured:
    """A saved report, a folder that holds one, or the lines of the probe. Raises OSError, ValueError.

    `wanted`: what was to be made, where only lines are left.
    """
    path = path / "preflight.json" if path.is_dir() else path
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES >> 20} MiB: no pre-flight report is so large")
    try:
        return msgspec.json.decode(data, type=_Saved).measured
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = of_lines(data.splitlines(), wanted)
    if not found.checks:
        raise ValueError("neither a pre-flight report nor what `python -m probes.checking` prints")
    return found

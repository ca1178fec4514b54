"""The verdict as it leaves the program: the JSON contract `diagnose/verdict/1`.

Keys may be added to it: these types, unlike the playbook's, read past what they do not know.
"""

from pathlib import Path

import msgspec

from diagnose.certificate import Link
from diagnose.contract import Burst
from diagnose.model import Coverage

SCHEMA = "diagnose/verdict/1"


class Citation(msgspec.Struct, frozen=True):
    fact: str
    where: str
    text: str


class Advice(msgspec.Struct, frozen=True):
    """One remedy of the playbook."""

    id: str
    title: str
    do: str
    verify: str
    risk: str  # none | restarts_job | drains_node | needs_hands


class Cause(msgspec.Struct, frozen=True):
    """One present finding. Root ones are causes; aftermath and context have the same form."""

    failure: str
    title: str
    scope: str
    role: str
    ranks: list[int] = []
    nodes: list[str] = []
    gpus: list[str] = []
    grade: str = ""
    since: float | None = None
    summary: str = ""
    evidence: list[Citation] = []
    against: list[Citation] = []
    certificate: list[Link] = []
    explains: list[str] = []
    lookalikes: list[str] = []
    remedies: list[Advice] = []


class Wait(msgspec.Struct, frozen=True):
    """Who waits for whom in one collective."""

    group: str
    op: str
    seq: int | None
    waiting: list[int]
    awaited: list[int]  # never launched it
    behind: list[int]  # launched it, did not complete it
    where: str


class Stack(msgspec.Struct, frozen=True):
    """The ranks that stand at one place of the program: see `diagnose/merged.py`."""

    ranks: list[int]
    odd: bool = False
    moved: bool | None = None
    parted: str = ""
    frames: list[str] = []
    num_shared: int = 0
    where: str = ""
    num_frames: int = 0
    pids: list[int] = []  # of its ranks, on their hosts; empty where not all are told


class Unknown(msgspec.Struct, frozen=True):
    failure: str
    ranks: list[int] = []
    missing: list[str] = []


class Step(msgspec.Struct, frozen=True):
    ask: str
    answer: str  # yes | no | unknown
    where: str = ""


class Collect(msgspec.Struct, frozen=True):
    source: str
    ranks: list[int]
    command: str


class Run(msgspec.Struct, frozen=True):
    """What is known of the run itself."""

    num_ranks: int | None = None
    nodes: list[str] = []
    attempts: list[str] = []
    phase: str = "unknown"
    silent_s: float | None = None
    name: str = ""
    exit_code: int | None = None


class Found(msgspec.Struct, frozen=True):
    """One file: source -> number of events."""

    file: str
    sources: dict[str, int]


class Line(msgspec.Struct, frozen=True):
    where: str
    text: str


class UnknownLines(msgspec.Struct, frozen=True):
    """Lines that look like errors and that no source recognised: how many, and the first of them."""

    num: int = 0
    examples: list[Line] = []


class Answer(msgspec.Struct, frozen=True):
    """One clause of a failure, held against some of its ranks or nodes; without any: the job."""

    part: str  # when | unless | confirm
    clause: str
    answer: str  # yes | no | unknown
    ranks: list[int] = []
    nodes: list[str] = []
    lines: list[Citation] = []
    near: list[Citation] = []  # of the same kind, and not such as the clause asks for
    missing: list[str] = []  # sources that would settle it


class Explained(msgspec.Struct, frozen=True):
    """Why a failure was or was not concluded."""

    failure: str
    title: str
    concluded: (
        str  # cause | context | aftermath | root (nothing is left of it) | explained | absent | unknown
    )
    by: list[str] = []  # the causes that explain it
    ranks: list[int] = []
    grade: str = ""
    clauses: list[Answer] = []


class Layer(msgspec.Struct, frozen=True):
    """One kind of artefact, and whether it holds what the run owes."""

    layer: str  # manifest | events | logs | record | verdict
    state: str  # holds | breaks
    why: str = ""


class Part(msgspec.Struct, frozen=True):
    """One phase of the cold start: of the slowest rank, of the fastest, of the last good run."""

    phase: str
    title: str
    seconds: float
    least_s: float | None = None
    rank: int | None = None
    good_s: float | None = None


class Move(msgspec.Struct, frozen=True):
    """The lane should run elsewhere."""

    to: str
    away_from: str
    why: list[str]
    gains: str  # there: time to the first trustworthy result, and price
    first: str = ""  # what to try before
    runs: list[str] = []  # what shows it


class Sorting(msgspec.Struct, frozen=True):
    """A run by lane and stage, and what may be claimed of it."""

    lane: str = ""
    lane_title: str = ""
    stage: str = ""  # empty: none breaks the contract
    stage_title: str = ""
    looks: str = ""
    open: str = ""
    fix: str = ""
    cut: str = ""
    layers: list[Layer] = []
    is_receipt: bool | None = None  # None while it runs
    missing: list[str] = []  # why it is none
    thin: list[str] = []  # fields its lane wants, and the record has not
    contaminated: list[int] = []  # steps that count for nothing
    start: list[Part] = []
    good_run: str = ""  # the last good run of its name and lane
    changed: list[str] = []  # fields of the record that differ from that one's
    again: list[Burst] = []  # compiles after the first step


class Verdict(msgspec.Struct, frozen=True):
    """One diagnosis: causes first, root first among them."""

    bundle: str
    symptom: str
    run: Run
    causes: list[Cause] = []
    aftermath: list[Cause] = []
    context: list[Cause] = []
    waits: list[Wait] = []
    stacks: list[Stack] = []  # the odd one first
    unknown: list[Unknown] = []
    coverage: dict[str, Coverage] = {}
    steps: list[Step] = []
    collect_next: list[Collect] = []
    recognised: list[str] = []
    unrecognised: list[str] = []
    recognised_in: list[Found] = []  # what was found in each file
    unrecognised_lines: UnknownLines = UnknownLines()
    explained: Explained | None = None  # where it was asked for
    move: Move | None = None  # of a run of ours
    sorting: Sorting | None = None  # by `show`, of a run of ours
    schema: str = SCHEMA

    def exit_code(self) -> int:
        """0 nothing wrong found, 1 causes found, 3 could not tell."""
        if self.causes:
            return 1
        return 0 if self.symptom in {"none", "slow"} else 3


def read(run: Path) -> Verdict | None:
    """The verdict as it lies in a run directory; None where none can be read."""
    try:
        return msgspec.json.decode((run / "verdict.json").read_bytes(), type=Verdict)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def encode(verdict: Verdict) -> bytes:
    """The JSON object, with `schema` first, ending in a newline."""
    plain = msgspec.to_builtins(verdict)
    return (
        msgspec.json.format(msgspec.json.encode({"schema": plain.pop("schema"), **plain}), indent=1) + b"\n"
    )

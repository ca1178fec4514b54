"""The files other programs read: the event line, the manifest and the run record, as types.

Readers are lenient (unknown keys and kinds are ignored), so these structs do not forbid unknown keys.
"""

import msgspec

MANIFEST = "diagnose/manifest/1"
RECORD = "diagnose/record/1"


class EventLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of `events/*.jsonl`; the kind's own data are further keys of the same object."""

    v: int
    time: float
    event: str
    source: str
    run: str
    attempt: str
    node: str
    level: str
    rank: int | None = None


class Transition(msgspec.Struct, frozen=True):
    state: str
    time: float
    reason: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """`manifest.json`: where a run stands.

    `spool` and `root` are local runs' own, `volume` and what follows it are Modal's. `pid` and `boot` are of
    the parent: a launcher is none any more once the platform has the run.
    """

    run: str
    state: str
    transitions: list[Transition] = []
    app_id: str | None = None
    function_call_id: str | None = None
    last_polled_at: float | None = None
    name: str = ""
    command: str = ""
    node: str = ""
    boot: str = ""  # the kernel's boot id: a pid means nothing after a reboot
    pid: int | None = None  # of `diagnose run`, or of a launcher
    start_ticks: int | None = None
    spool: str = ""
    root: str = ""
    surface: str = "local"  # local | modal
    kind: str = "job"  # job | preflight
    volume: str = ""  # where the evidence is brought to
    dashboard: str = ""
    outcome: str = ""  # how the function call ended, in one word
    is_whole: bool = False  # all evidence there is has been fetched
    schema: str = MANIFEST


class Change(msgspec.Struct, frozen=True):
    """One environment variable that was set, unset, or kept as the operator had it."""

    name: str
    action: str  # set | unset | kept
    why: str
    value: str | None = None
    before: str | None = None


class RankRecord(msgspec.Struct, frozen=True):
    """What one rank did, in its last attempt."""

    rank: int
    pid: int | None = None
    node: str = ""
    first_step_s: float | None = None
    num_steps: int | None = None
    compile_s: float | None = None
    num_compiles: int | None = None
    exit_code: int | None = None
    signal: int | None = None


class Attempt(msgspec.Struct, frozen=True):
    attempt: str
    ranks: list[int] = []


class Volume(msgspec.Struct, frozen=True):
    """What the ranks had on one mount: checkpoints, cache, data, diagnostics, with one path of each."""

    point: str
    filesystem: str = ""
    volume: str = ""  # its name, or what is mounted
    remote: bool = False
    holds: dict[str, str] = {}


class RunRecord(msgspec.Struct, frozen=True):
    """`record.json`: a bounded claim about one run."""

    run: str
    exit_path: str  # exit | signal | exception | interrupted | stopped | lost | unknown
    name: str = ""
    command: str = ""
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    attempts: list[Attempt] = []
    ranks: list[RankRecord] = []
    environment: list[Change] = []
    versions: dict[str, str] = {}
    volumes: list[Volume] = []
    num_stalls: int = 0
    end_marker: bool = False  # the parent saw the command's end and wrote it down
    caveats: list[str] = []
    schema: str = RECORD

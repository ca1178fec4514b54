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
    lane: str = ""  # what kind of run it is, as its operator said
    logs_read_at: float = 0.0  # the platform's
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
    first_forward_s: float | None = None
    first_forward_by: str = (
        ""  # compile: as the compiler tells | step: at most so long, its first step was done
    )
    num_steps: int | None = None
    step_median_s: float | None = None
    peak_rss: int | None = None
    peak_allocated: int | None = None  # of the GPU, by torch's allocator
    peak_reserved: int | None = None
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


class Distributed(msgspec.Struct, frozen=True):
    """How the ranks share the model."""

    mode: str = ""  # single | ddp | fsdp | fsdp2 | tensor_parallel | pipeline | own, joined by `+`
    wrappers: list[str] = []
    backends: list[str] = []
    groups: list[str] = []  # what the groups beside the default one are for
    world_size: int | None = None
    local_size: int | None = None  # the most ranks on one node


class Gpu(msgspec.Struct, frozen=True):
    name: str
    memory: int | None = None
    uuid: str = ""
    ranks: list[int] = []


class Gpus(msgspec.Struct, frozen=True):
    """GPUs as they were asked for, and as the ranks found them."""

    requested: str = ""
    visible: str = ""  # CUDA_VISIBLE_DEVICES
    seen: list[Gpu] = []
    num_visible: int | None = None  # to one rank


class Git(msgspec.Struct, frozen=True):
    commit: str = ""
    branch: str = ""
    dirty: bool | None = None
    num_changed: int | None = None
    digest: str = ""  # of the code that no commit holds
    reason: str = ""  # why it is not known


class CacheSize(msgspec.Struct, frozen=True):
    files: int
    bytes: int | None = None


class Burst(msgspec.Struct, frozen=True):
    """Compiles one soon after the other; `step`: how many steps were done, `since`: s after the start."""

    seconds: float
    since: float | None = None
    step: int | None = None
    ranks: list[int] = []
    kinds: list[str] = []  # compile, backward_compile, cudagraph
    num: int = 0


class Compile(msgspec.Struct, frozen=True):
    posture: str = ""  # eager | regional | whole | mixed
    cache_start: CacheSize | None = None
    cache_end: CacheSize | None = None
    seeded_from: str = ""
    counters: dict[str, int] = {}  # of the rank where they are highest
    bursts: list[Burst] = []


class Steps(msgspec.Struct, frozen=True):
    """Steps all ranks have done. Step 0 starts cold, so its time is none: `first_s` begins with step 1."""

    num: int | None = None
    contaminated: list[int] = []
    first_s: list[float] = []
    median_s: float | None = None
    p10_s: float | None = None
    p90_s: float | None = None
    max_s: float | None = None


class Phase(msgspec.Struct, frozen=True):
    """A part of the cold start: how long it took the slowest rank, and the fastest."""

    phase: str
    seconds: float
    least_s: float | None = None
    rank: int | None = None


class Reduced(msgspec.Struct, frozen=True):
    """The operator's reduced preset, run after a hang, and what the pair says."""

    run: str
    command: str = ""
    symptom: str = ""
    exit_code: int | None = None
    num_ranks: int | None = None
    answer: str = ""  # only_full: model or compile | both: infrastructure | unclear
    why: str = ""  # it is unclear


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
    lane: str = ""
    surface: str = "local"
    app_id: str | None = None
    function_call_id: str | None = None
    arguments: list[str] = []  # the command, word by word
    environment: list[Change] = []
    variables: dict[str, str] = {}  # of the libraries, as the command got them
    rank_variables: dict[str, str] | None = None  # which scripts or the program set otherwise; None: untold
    host: dict[str, str | int | float] = {}  # CPUs, memory, limits, kernel
    folder: str = ""  # the command was started in
    versions: dict[str, str] = {}
    volumes: list[Volume] = []
    packages: dict[str, str] = {}  # loaded ones with kernels of their own, and frameworks: name -> version
    installed: dict[str, str] = {}  # all that lie beside the job's Python: name -> version
    image: str = ""
    git: Git = Git()
    gpus: Gpus = Gpus()
    distributed: Distributed = Distributed()
    compile: Compile = Compile()
    steps: Steps = Steps()
    start: list[Phase] = []
    notes: dict[str, str | int | float | bool | None] = {}  # what the program said of itself
    num_stalls: int = 0
    end_marker: bool = False  # the parent saw the command's end and wrote it down
    caveats: list[str] = []
    reduced: Reduced | None = None
    schema: str = RECORD

"""Drills: find them, run one through the real `diagnose run`, and read back its verdict."""

import ast
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec

from diagnose import story
from diagnose.ground import KEEPERS_S, Ground, finish, kept, sweep
from diagnose.model import Record
from diagnose.needs import missing
from diagnose.scoring import Answer, Injected, Score, answer, cause, differences

HERE = Path(__file__).parent / "drills"
PREPARING = threading.Lock()  # drills that run at the same time share what is prepared
SETTLE_S = 5.0  # the collector's last seal


class Drill(Record, frozen=True):
    """One program of `drills/`, as its `DRILL` literal describes it."""

    expect: Injected
    symptom: str
    num_ranks: int
    launcher: Literal["torchrun", "spawn", "plain"]
    stall_after_s: float
    timeout_s: float
    needs: list[str]
    ends: Literal["ok", "error"] = "error"
    on_stall: Literal["keep", "stop"] = "keep"
    prepare: str = ""  # the program beside it that seeds a folder once: NAME.py FOLDER
    env: dict[str, str] = {}
    also: list[Injected] = []  # further faults, injected at the same time
    name: str = ""
    story: str = ""  # what is injected, in one sentence

    @property
    def expected(self) -> Answer:
        return Answer(
            failure=self.expect.failure,
            ranks=self.expect.ranks,
            symptom=self.symptom,
            ends=self.ends,
            others=[cause(one.failure, one.ranks) for one in self.also],
        )

    @property
    def command(self) -> list[str]:
        """The training command, to be run in a folder that holds the program as `train.py`."""
        if self.launcher == "torchrun":
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.num_ranks)]
            return [sys.executable, *launch, "train.py"]
        return [sys.executable, "train.py", *([str(self.num_ranks)] if self.launcher == "spawn" else [])]


def read(path: Path) -> Drill | None:
    """The drill in a file, without importing it; None where it holds no `DRILL`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["DRILL"]:
            said = ast.literal_eval(node.value)
            story = (ast.get_docstring(tree) or "").partition("\n")[0]
            return msgspec.convert({**said, "name": path.stem, "story": story}, type=Drill)
    return None


def drills() -> dict[str, Drill]:
    """Every drill by name: those that fail first, then the healthy ones."""
    found = [drill for path in sorted(HERE.glob("*.py")) if (drill := read(path))]
    return {drill.name: drill for drill in sorted(found, key=lambda drill: drill.expect.failure is None)}


def lacking(drill: Drill) -> str:
    """Why this machine cannot run a drill; empty where it can."""
    return next((reason for need in drill.needs if (reason := missing(need))), "")


def prepare(drill: Drill, ground: Ground, say: Callable[[str], None]) -> str:
    """Run the drill's preparation, once for a ground; why it failed, if it did."""
    if not drill.prepare:
        return ""
    with PREPARING:
        return "" if (ground.prepared / "done").exists() else seed(drill, ground, say)


def seed(drill: Drill, ground: Ground, say: Callable[[str], None]) -> str:
    folder = ground.prepared
    say("warming a compile cache first (about half a minute, once)")
    folder.mkdir()
    with (ground.top / "prepare.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(HERE / f"{drill.prepare}.py"), str(folder)],
            env=ground.environment(drill.env),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        ended = finish(process, drill.timeout_s)
    sweep(ground.temporary, SETTLE_S)
    if not ended or process.returncode:
        lines = (ground.top / "prepare.log").read_text(errors="replace").strip().splitlines()
        shutil.rmtree(folder)
        return f"its preparation failed: {lines[-1] if lines else 'no output'}"
    (folder / "done").touch()
    return ""


def lay_out(drill: Drill, ground: Ground) -> Path:
    """A folder with the drill's program as `train.py` and what it imports; nothing there tells its name."""
    work = ground.top / f"job-{time.time_ns()}"
    work.mkdir()
    ground.temporary.mkdir(exist_ok=True)
    for path in HERE.glob("*.py"):
        if read(path) is None:
            shutil.copy(path, work)
    shutil.copy(HERE / f"{drill.name}.py", work / "train.py")
    return work


def start(drill: Drill, ground: Ground, bare: bool = False) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a drill under `diagnose run`, or `bare`, without us; the process, and its output file."""
    work = lay_out(drill, ground)
    options = {
        "--root": ground.root,
        "--name": work.name,
        "--stall-after": drill.stall_after_s,
        "--on-stall": drill.on_stall,
    }
    ours = [sys.executable, "-P", "-m", "diagnose", "run"]
    ours += [*(str(part) for pair in options.items() for part in pair), "--"]
    console = work / "console.txt"
    with console.open("wb") as output:
        process = subprocess.Popen(
            drill.command if bare else [*ours, *drill.command],
            cwd=work,
            env=ground.environment(drill.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return process, console


def run(drill: Drill, ground: Ground, say: Callable[[str], None] = lambda line: None) -> Score:
    """Run one drill and score its verdict. `say` is told what is going on, a line at a time."""

    def score(right: bool, reason: str = "", skipped: bool = False, got: Answer | None = None) -> Score:
        seconds = round(time.monotonic() - begun, 1)
        late = to_verdict(own, drill.expected) if own and got else None
        return Score(drill.name, right, skipped, drill.expected, got, reason, seconds, str(own or ""), late)

    begun, own = time.monotonic(), None
    ground.temporary.mkdir(exist_ok=True)
    if reason := lacking(drill):
        return score(False, reason, skipped=True)
    if reason := prepare(drill, ground, say):
        return score(False, reason)
    begun = time.monotonic()
    say(f"running {' '.join(['python', *drill.command[1:]])} under diagnose run")
    process, console = start(drill, ground)
    try:
        ended = finish(process, drill.timeout_s)
    finally:
        left = sweep(ground.temporary, SETTLE_S) + kept(ground.top, KEEPERS_S)
    own = next(ground.root.glob(f"{console.parent.name}-*"), None)
    if own is None or not (own / "verdict.json").is_file():
        lines = console.read_text(errors="replace").strip().splitlines()
        return score(False, f"no verdict: {lines[-1] if lines else 'no output'}")
    ends: Literal["ok", "error", "lost"] = "lost" if not ended else "error" if process.returncode else "ok"
    got = answer((own / "verdict.json").read_bytes(), ends)
    wrong = differences(drill.expected, got, left)
    return score(not wrong, "; ".join(wrong), got=got)


def to_verdict(own: Path, expected: Answer) -> float | None:
    """Seconds from the first sign (a stall that was called, an exception, a death) to a right verdict."""
    lines = [line for line in story.events(own) if isinstance(line["time"], int | float)]
    first = min((float(str(e["time"])) for e in lines if is_sign(e)), default=None)
    if first is None or expected.failure is None:
        return None
    interim = [
        float(str(e["time"]))
        for e in lines
        if e["event"] == "verdict.written" and names(e.get("causes"), expected)
    ]
    return round(min([*interim, (own / "verdict.json").stat().st_mtime]) - first, 1)


def is_sign(event: story.Line) -> bool:
    ended_badly = event["event"] == "rank.died" and bool(event.get("signal") or event.get("exit_code"))
    return ended_badly or event["event"] in {"job.stalled", "exception.raised"}


def names(causes: object, expected: Answer) -> bool:
    """Whether a verdict's causes hold the first one that is expected."""
    want = {"failure": expected.failure, "ranks": expected.ranks}
    return isinstance(causes, list) and want in causes


def run_all(
    chosen: Sequence[Drill], top: Path, root: Path | None, lanes: int, say: Callable[[str], None]
) -> Iterator[Score]:
    """Run drills, `lanes` at a time, each on a ground of its own; scores in the order given, as they come."""

    def one(drill: Drill, own: Ground) -> Score:
        own.top.mkdir()
        try:
            return run(drill, own, say)
        finally:
            own.clear()

    grounds = [
        Ground.below(top / str(num), root or top / f"runs-{num}", top / "prepared")
        for num in range(len(chosen))
    ]
    pool = ThreadPoolExecutor(lanes)
    try:
        yield from pool.map(one, chosen, grounds)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for own in grounds:  # only where we are interrupted does anything still run
            sweep(own.temporary, 0)
        pool.shutdown()


def told(one: Answer) -> str:
    """An answer in words: `compile_skew on [3]`."""
    first = cause(one.failure, one.ranks) if one.failure else "no cause"
    return " and ".join([first, *one.others])


def row(score: Score) -> str:
    """A score as plain text: one line, and below it why it is wrong or was skipped."""
    mark = "skip " if score.skipped else "right" if score.right else "WRONG"
    line = (
        f"{mark}  {score.name:<28} {score.seconds:>5.1f} s  {told(score.got) if score.got else ''}".rstrip()
    )
    return f"{line}\n       {score.reason}" if score.reason else line

"""Drills: find them, run one through the real `diagnose run`, and read back its verdict."""

import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Literal, NoReturn

import msgspec

from diagnose.model import Record
from diagnose.scoring import Answer, Injected, Score, answer, differences

HERE = Path(__file__).parent / "drills"
STOP_S = 20.0  # `diagnose run` ends its command within 5 s of a SIGTERM; evidence may take some more
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
    name: str = ""
    story: str = ""  # what is injected, in one sentence

    @property
    def expected(self) -> Answer:
        return Answer(
            failure=self.expect.failure, ranks=self.expect.ranks, symptom=self.symptom, ends=self.ends
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
    for need in drill.needs:
        there = importlib.util.find_spec(need) if need == "torch" else shutil.which(need)
        if not there:
            return f"{need} is not installed"
    return ""


def carriers(temporary: Path) -> list[int]:
    """Processes whose environment names our temporary folder: all that a drill started, and nothing else."""
    mark = f"TMPDIR={temporary}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def sweep(temporary: Path, patience_s: float) -> list[str]:
    """End what still runs after `patience_s`; each named. Waits until all of it is gone."""
    end = time.monotonic() + patience_s
    while carriers(temporary) and time.monotonic() < end:
        time.sleep(0.1)
    left = []
    for pid in carriers(temporary):
        with suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            left.append(f"{line.strip()[:80]} ({pid})")
            os.kill(pid, signal.SIGKILL)
    while carriers(temporary):
        time.sleep(0.05)
    return left


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP raise, as Ctrl-C does, so that `finally` cleans up."""

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + signum)

    old = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class Ground(Record, frozen=True):
    """Where drills run: `top` is a temporary folder of ours, `root` takes the run directories."""

    top: Path
    root: Path

    @property
    def temporary(self) -> Path:
        return self.top / "t"

    def environment(self, drill: Drill) -> dict[str, str]:
        """The caller's own, less what an outer launcher left there."""
        outer = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
        kept = {key: value for key, value in os.environ.items() if key not in outer}
        ours = {"TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}
        return {**kept, **ours, "COMPILE_CACHES": str(self.top / "prepared"), **drill.env}


def finish(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a process; past the time it is stopped, gently first. Whether it ended by itself."""
    try:
        process.wait(timeout_s)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        if process.poll() is None:
            process.kill()
            process.wait()


def prepare(drill: Drill, ground: Ground, say: Callable[[str], None]) -> str:
    """Run the drill's preparation, once for a ground; why it failed, if it did."""
    folder = ground.top / "prepared"
    if not drill.prepare or (folder / "done").exists():
        return ""
    say("warming a compile cache first (about half a minute, once)")
    folder.mkdir()
    with (ground.top / "prepare.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(HERE / f"{drill.prepare}.py"), str(folder)],
            env=ground.environment(drill),
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


def start(drill: Drill, ground: Ground) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a drill under `diagnose run`, where nothing tells its name; the process, and its output file."""
    work = ground.top / f"job-{time.time_ns()}"
    work.mkdir()
    ground.temporary.mkdir(exist_ok=True)
    for path in HERE.glob("*.py"):
        if read(path) is None:
            shutil.copy(path, work)
    shutil.copy(HERE / f"{drill.name}.py", work / "train.py")
    options = {"--root": ground.root, "--stall-after": drill.stall_after_s, "--on-stall": drill.on_stall}
    ours = [sys.executable, "-P", "-m", "diagnose", "run"]
    console = work / "console.txt"
    with console.open("wb") as output:
        process = subprocess.Popen(
            [*ours, *(str(part) for pair in options.items() for part in pair), "--", *drill.command],
            cwd=work,
            env=ground.environment(drill),
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
        return Score(drill.name, right, skipped, drill.expected, got, reason, seconds, str(kept or ""))

    begun, kept = time.monotonic(), None
    ground.temporary.mkdir(exist_ok=True)
    if reason := lacking(drill):
        return score(False, reason, skipped=True)
    if reason := prepare(drill, ground, say):
        return score(False, reason)
    begun = time.monotonic()
    before = set(ground.root.iterdir()) if ground.root.is_dir() else set()
    say(f"running {' '.join(['python', *drill.command[1:]])} under diagnose run")
    process, console = start(drill, ground)
    try:
        ended = finish(process, drill.timeout_s)
    finally:
        left = sweep(ground.temporary, SETTLE_S)
    kept = next(iter(sorted(set(ground.root.iterdir()) - before)), None) if ground.root.is_dir() else None
    if kept is None or not (kept / "verdict.json").is_file():
        lines = console.read_text(errors="replace").strip().splitlines()
        return score(False, f"no verdict: {lines[-1] if lines else 'no output'}")
    ends: Literal["ok", "error", "lost"] = "lost" if not ended else "error" if process.returncode else "ok"
    got = answer((kept / "verdict.json").read_bytes(), ends)
    wrong = differences(drill.expected, got, left)
    return score(not wrong, "; ".join(wrong), got=got)


def row(score: Score) -> str:
    """A score as plain text: one line, and below it why it is wrong or was skipped."""
    mark = "skip " if score.skipped else "right" if score.right else "WRONG"
    got = score.got
    told = f"{got.failure or 'no cause'} {got.ranks if got.failure else ''}" if got else ""
    line = f"{mark}  {score.name:<24} {score.seconds:>5.1f} s  {told}".rstrip()
    return f"{line}\n       {score.reason}" if score.reason else line

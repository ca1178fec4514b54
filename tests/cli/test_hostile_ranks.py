"""A real hang of two gloo ranks where it is hard to see: rank 1 never joins, and that is what must be said.

The scenes run side by side, since each mostly waits.
"""

import os
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from diagnose.ground import sweep

pytestmark = [pytest.mark.torch, pytest.mark.ranks]
HERE = Path(__file__).parent
TRAIN = """
import ctypes, os, signal, time, torch, torch.distributed as dist
rank = int(os.environ["RANK"])
if os.environ.get("CLOSED"):  # PR_SET_DUMPABLE: nobody may trace it without CAP_SYS_PTRACE
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
if os.environ.get("DEAF"):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
value = torch.ones(4)
if os.environ.get("STEPS"):  # loads much more of torch
    weight = torch.nn.Parameter(value)
    opt = torch.optim.SGD([weight], lr=0.1)
dist.init_process_group("gloo")
def fetch(step):
    if rank == 0 and step == 2 and os.environ.get("JUMP"):
        with open(os.environ["CLOCK_OFFSET"], "w") as file:
            file.write(os.environ["JUMP"])
    while rank == 1 and step == 6:
        time.sleep(1)
for step in range(12):
    fetch(step)
    dist.all_reduce(value)
    if os.environ.get("STEPS"):
        weight.sum().backward()
        opt.step()
    time.sleep(0.3)
"""
LAUNCH = """
import os, subprocess, sys
def environ(rank):
    mine = {**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    ending = f"_OF_{rank}"
    return mine | {key.removesuffix(ending): mine[key] for key in mine if key.endswith(ending)}
jobs = [subprocess.Popen([sys.executable, "train.py"], env=environ(rank)) for rank in range(2)]
raise SystemExit(max(job.wait() for job in jobs))
"""


class Scene(NamedTuple):
    """What a scene left: how `diagnose run` ended, its verdict, and its agent's events."""

    code: int
    text: str
    verdict: dict[str, Any]
    events: list[dict[str, Any]]

    def via(self) -> dict[int, set[str]]:
        """Rank -> the rungs that gave its stack."""
        found: dict[int, set[str]] = {}
        for event in self.events:
            if event["event"] == "stack.dumped":
                found.setdefault(event["rank"], set()).add(event["via"])
        return found

    def refused(self, rank: int) -> dict[str, str]:
        """Rung -> why it gave no stack of that rank."""
        told = [e for e in self.events if e["event"] == "stack.refused" and e["rank"] == rank]
        return {event["via"]: event["reason"] for event in told}

    def blames_rank_1(self) -> bool:
        """Is the verdict right?"""
        causes = [(cause["failure"], cause["ranks"]) for cause in self.verdict["causes"]]
        return self.verdict["symptom"] == "hang" and causes == [("collective_not_joined", [1])]


def stage(prefix: list[str], python: str, env: dict[str, str], shown: str = "") -> Scene:
    """Run the hang once. `prefix` goes before `diagnose run`; `shown` is the folder as the run sees it."""
    top = Path(tempfile.mkdtemp(prefix="dh-"))
    try:
        top.chmod(0o755)  # gVisor's own processes give up root
        (top / "t").mkdir()
        (top / "train.py").write_text(TRAIN)
        (top / "launch.py").write_text(LAUNCH)
        (top / "offset").write_text(env.get("OFFSET", "0"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        outer = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "DIAGNOSE_ROOT")
        fresh = {"TMPDIR": str(top / "t"), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
        kept = {key: value for key, value in os.environ.items() if key not in outer}
        paths = {"PYTHONPATH": str(HERE.parent.parent), "CLOCK_OFFSET": str(top / "offset")}
        options = ["--root", "runs", "--stall-after", "6", "--on-stall", "stop"]
        whole = {**kept, **fresh, **paths, "MASTER_PORT": str(port), **env}
        inside = ["env", "-i", *(f"{k}={whole[k]}" for k in (*fresh, *paths, "MASTER_PORT", "PATH", *env))]
        words = [
            *[word.replace("TOP", str(top)) for word in prefix],
            *(inside if prefix[:1] == ["runsc"] else []),
            *[python, "-P", "-m", "diagnose", "run", *options, "--", python, "launch.py"],
        ]
        ended = subprocess.run(words, cwd=top, env=whole, capture_output=True, text=True, timeout=110)
        left = sweep(top / "t", 2)
        assert not left, left
        runs = list((top / "runs").glob("*/verdict.json"))
        assert runs, ended.stderr[-2000:]
        lines = [
            line
            for path in sorted(runs[0].parent.glob("attempts/1/events/*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]
        verdict = msgspec.json.decode(runs[0].read_bytes())
        return Scene(ended.returncode, ended.stderr, verdict, [msgspec.json.decode(line) for line in lines])
    finally:
        sweep(top / "t", 0)
        shutil.rmtree(top)


def bare_python(folder: Path) -> str:
    """A Python with all that ours has, and no py-spy beside it."""
    venv.create(folder, with_pip=False, symlinks=True)
    (inside,) = folder.glob("lib/python*/site-packages")
    (inside / "ours.pth").write_text("\n".join(site.getsitepackages()))
    return str(folder / "bin" / "python")


def without_py_spy() -> str:
    """PATH less the folders that hold a py-spy."""
    return os.pathsep.join(p for p in os.get_exec_path() if not Path(p, "py-spy").exists())


RUNSC = [
    *("runsc", "--root", "TOP/r", "--network=none", "--platform=ptrace", "--ignore-cgroups"),
    *("--overlay=false", "--fsgofer-host-uds", "do", "-force-overlay=false", "-cwd", "TOP"),
]
LESS = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
NEEDS = {"gvisor": "runsc", "ptrace_refused": "setpriv", "clock_back": "gcc", "clock_of_one_rank": "gcc"}


@pytest.fixture(scope="module")
def scenes() -> Iterator[dict[str, Future[Scene]]]:
    """All scenes that this machine can show, three at a time."""
    pytest.importorskip("torch", reason="torch is not installed")
    tools = Path(tempfile.mkdtemp(prefix="dt-"))
    bare, off = bare_python(tools / "v"), {"LD_PRELOAD": str(tools / "offset.so")}
    plans: dict[str, tuple[list[str], str, dict[str, str]]] = {
        "gvisor": (RUNSC, bare, {"PATH": without_py_spy()}),
        "ptrace_refused": (LESS, sys.executable, {"CLOSED": "1"}),
        "py_spy_missing": (
            [],
            bare,
            {"PATH": without_py_spy(), "PATH_OF_0": os.environ["PATH"], "DEAF": "1"},
        ),
        "clock_back": ([], sys.executable, {**off, "JUMP": "-3600", "STEPS": "1"}),
        "clock_of_one_rank": ([], sys.executable, {"LD_PRELOAD_OF_1": off["LD_PRELOAD"], "OFFSET": "3600"}),
    }
    if shutil.which("gcc"):
        build = ["gcc", "-shared", "-fPIC", "-O1", "-o", off["LD_PRELOAD"], str(HERE / "clock_offset.c")]
        subprocess.run(build, check=True)
    with ThreadPoolExecutor(3) as lanes:
        yield {name: lanes.submit(stage, *plan) for name, plan in plans.items() if not lacking(name)}
    shutil.rmtree(tools)


def lacking(name: str) -> str:
    """Why this machine cannot show a scene; empty where it can."""
    need = NEEDS.get(name, "")
    if need and not shutil.which(need):
        return f"{need} is not installed"
    return f"{need} needs root" if need in ("runsc", "setpriv") and os.geteuid() else ""


def seen(scenes: dict[str, "Future[Scene]"], name: str) -> Scene:
    if reason := lacking(name):
        pytest.skip(reason)
    return scenes[name].result()


def test_in_gvisor_the_verdict_is_right_without_py_spy_too(scenes: dict[str, "Future[Scene]"]) -> None:
    scene = seen(scenes, "gvisor")
    assert scene.blames_rank_1(), scene.text[-3000:]
    assert scene.via() == {0: {"faulthandler"}, 1: {"faulthandler"}}
    assert {e["wchan"] for e in scene.events if e["event"] == "proc.dumped"} == {""}


def test_where_ptrace_is_refused_the_signal_still_gives_stacks(scenes: dict[str, "Future[Scene]"]) -> None:
    scene = seen(scenes, "ptrace_refused")
    assert scene.blames_rank_1(), scene.text[-3000:]
    assert all("faulthandler" in scene.via()[rank] for rank in (0, 1))
    assert "ermission denied" in scene.refused(1)["py_spy"]


def test_without_py_spy_the_ranks_own_is_asked_then_the_signal(scenes: dict[str, "Future[Scene]"]) -> None:
    scene = seen(scenes, "py_spy_missing")
    assert scene.blames_rank_1(), scene.text[-3000:]
    assert "control_server" in scene.via()[0] and scene.via()[1] == {"faulthandler"}
    assert scene.refused(1)["py_spy"] == "py-spy is not installed"
    assert scene.refused(1)["control_server"]


def test_ranks_that_ignore_every_polite_signal_are_ended_and_named(
    scenes: dict[str, "Future[Scene]"],
) -> None:
    scene = seen(scenes, "py_spy_missing")
    assert scene.code == 128 + signal.SIGTERM
    (ended,) = [event for event in scene.events if event["event"] == "strays.ended"]
    pids = {event["pid"] for event in scene.events if event["event"] == "rank.found"}
    assert set(ended["pids"]) >= pids and ended["left"] == []


@pytest.mark.parametrize("name", ["clock_back", "clock_of_one_rank"])
def test_a_wall_clock_an_hour_off_hides_no_hang_and_no_second_is_negative(
    scenes: dict[str, "Future[Scene]"], name: str
) -> None:
    scene = seen(scenes, name)
    assert scene.blames_rank_1(), scene.text[-3000:]
    told = [(e["event"], k, v) for e in scene.events for k, v in e.items() if k.endswith("_s") and v]
    lasted = [(event, k, s) for event, k, v in told for s in (v if isinstance(v, list) else [v])]
    assert [one for one in lasted if not isinstance(one[2], float | int) or not -0.01 <= one[2] < 3000] == []
    walls = [e["time"] - e["mono"] for e in scene.events if "mono" in e]
    assert max(walls) - min(walls) > 3500, "the clock did not step"

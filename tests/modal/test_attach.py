"""`diagnose modal attach`: into a container with nothing but a Python, by Modal's own client."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.modal.container import BARE, PYTHON, STUCK, stuck

HUNG = """
import os, threading, torch, torch.distributed as dist
torch.set_num_threads(1)
dist.init_process_group("gloo")
print("up", flush=True)
threading.Event().wait() if dist.get_rank() else dist.all_reduce(torch.ones(4))
"""

pytestmark = pytest.mark.skipif(not Path(PYTHON).exists(), reason="no Python beside the tests' own")


@dataclass(frozen=True)
class Visit:
    code: int
    out: str
    err: str

    @property
    def verdict(self):
        return json.loads(self.out)


def attach(plane, folder, *words, **env):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "diagnose", "modal", "attach", *words],
        cwd=folder,
        env=plane.environ(**env),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Visit(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    with stuck(tmp_path_factory.mktemp("container")) as found:
        yield found


@pytest.fixture(scope="module")
def box(plane, inside):
    """That container, as Modal's control plane knows it."""
    folder, _ = inside
    return plane.ask("box", env={**BARE, "TMPDIR": str(folder / "t"), "RANK": "7"})["task"]


@pytest.fixture(scope="module")
def visit(plane, inside, box, tmp_path_factory):
    """One look, shared by the tests below: (what was said, the run directory)."""
    _, (pid, _) = inside
    top = tmp_path_factory.mktemp("laptop")
    said = attach(plane, top, box, str(pid), "--format", "json")
    runs = list((top / "runs").iterdir()) if (top / "runs").is_dir() else []
    assert len(runs) == 1, said.err
    return said, runs[0]


def test_the_ranks_of_the_container_are_looked_at_and_judged(visit, box):
    said, run = visit
    assert said.code == 3, said.err
    assert said.verdict["run"]["num_ranks"] == 2 and f"evidence and verdict: {run}" in said.err
    assert [stack["ranks"] for stack in said.verdict["stacks"]] == [[0, 1]]
    assert said.verdict["coverage"]["stack_dump"]["present"] == [0, 1]
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert {f"attempts/{box}/logs/rank-00001.log", f"attempts/{box}/host/environment.json"} <= names
    assert {name.split("/")[1] for name in names if name.startswith("attempts/")} == {box}
    manifest = json.loads((run / "manifest.json").read_bytes())
    assert manifest["container"] == box and manifest["state"] == "ok"


def test_py_spy_went_along_and_ran_there(visit, box):
    text = (visit[1] / f"attempts/{box}/events/agent-000001.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    [started] = [line for line in lines if line["event"] == "attach.started"]
    assert started["py_spy"].endswith("/py-spy") and "/diagnose-" in started["py_spy"]
    assert {line["via"] for line in lines if line["event"] == "stack.dumped"} == {"py_spy"}
    assert {line["run"] for line in lines} == {visit[1].name}


def test_nothing_is_left_in_the_container_and_the_ranks_go_on(visit, inside):
    folder, pids = inside
    assert not list((folder / "t").iterdir())
    assert all(Path(f"/proc/{pid}/stat").read_text().split()[2] == "S" for pid in pids)


def test_these_calls_of_modals_were_asked(plane, visit):
    asked = set(plane.ask("tell")["served"])
    assert {"TaskGetCommandRouterAccess", "TaskExecStart", "TaskExecStdinWrite", "TaskExecWait"} <= asked
    assert not plane.ask("tell")["refused"]


# All in one process: the client takes longer to import than to refuse.
REFUSALS = """
import json, sys
import click
from diagnose.cli import group
for words in json.load(sys.stdin):
    try:
        group.main(["modal", "attach", *words], standalone_mode=False)
        print(json.dumps("it went well"))
    except click.ClickException as error:
        print(json.dumps(error.message))
"""


def hidden():
    """How to run a command where this machine's Pythons are no programs."""
    pythons = {
        str(Path(one).resolve()) for one in (PYTHON, sys.executable, *Path("/usr/local/bin").glob("python3*"))
    }
    mounts = "".join(f"mount --bind /dev/null {one} && " for one in sorted(pythons))
    return ["unshare", "--mount", "sh", "-c", f'{mounts}exec "$@"', "sh"]


def test_what_cannot_be_is_one_line(plane, inside, tmp_path):
    """In each case: what the platform does, and what is said of it."""
    env = {**BARE, "TMPDIR": str(tmp_path)}  # of those that are killed something stays
    cases = [
        ({"env": BARE, "prefix": hidden()}, "no Python of 3.10 or newer is in the container"),
        ({"env": BARE, "refuses": "exec is not allowed here"}, "was refused: exec is not allowed here"),
        ({"env": env, "dies_after": 1000}, "went away: Task ta-"),
        ({"env": env, "dies_after": 1_000_000}, "went away: Task ta-"),  # in the middle of the look
        ({"env": BARE, "prefix": ["sh", "-c", "kill -9 $$"]}, "killed while it was looked at (137)"),
        ({"env": BARE, "prefix": ["sh", "-c", "echo hello"]}, "is not of our probes"),
    ]
    asked = [[plane.ask("box", **given)["task"], str(inside[1][0])] for given, _ in cases]
    asked += [["ta-nobody"], ["my-app"]]
    told = [text for _, text in cases] + ["no container ta-nobody is running", "no container's id (ta-...)"]
    done = subprocess.run(
        [sys.executable, "-c", REFUSALS],
        cwd=tmp_path,
        env=plane.environ(),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one for one, text in zip(said, told, strict=True) if text not in one or "\n" in one] == [], (
        done.stderr
    )
    assert not list(tmp_path.glob("runs/*")), "nothing was taken"


def test_without_credentials_one_line_says_what_to_do(plane, tmp_path):
    said = attach(plane, tmp_path, "ta-1", MODAL_TOKEN_ID="", MODAL_TOKEN_SECRET="")
    assert said.code == 2 and "modal token new" in said.err and said.err.count("\n") == 1


@pytest.fixture
def apart(tmp_path):
    """Two real ranks that hang, with processes and temporary files of their own: how they are entered."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("namespaces need root and unshare")
    (tmp_path / "train.py").write_text(HUNG)
    (tmp_path / "own").mkdir()
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable]
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    with (tmp_path / "log.txt").open("wb") as log:
        outer = subprocess.Popen(
            [*enter, *words],
            cwd=tmp_path, env={**BARE, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "own")},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        end = time.monotonic() + 80
        while (tmp_path / "log.txt").read_bytes().count(b"up") < 2:
            assert time.monotonic() < end, (tmp_path / "log.txt").read_text()
            time.sleep(0.2)
        time.sleep(2)
        [first] = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        yield ["nsenter", "-t", first, "-m", "-p"]
    finally:
        outer.kill()
        outer.wait()


@pytest.mark.slow
@pytest.mark.ranks
@pytest.mark.torch
def test_who_holds_up_real_ranks_of_a_container_is_named(plane, apart, tmp_path):
    """The container's processes have numbers of their own there, and nothing of ours is in its Python."""
    (tmp_path / "t").mkdir()
    task = plane.ask("box", env={**BARE, "TMPDIR": str(tmp_path / "t")}, prefix=apart)["task"]
    said = attach(plane, tmp_path, task, "--format", "json")
    assert said.code == 1, said.err
    found = said.verdict
    assert [(one["failure"], one["ranks"]) for one in found["causes"]] == [("user_lock_deadlock", [1])]
    assert found["waits"][0]["waiting"] == [0] and found["waits"][0]["awaited"] == [1]
    [events] = tmp_path.glob("runs/*/attempts/*/events/agent-000001.jsonl")
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert {line["pid"] for line in lines if line["event"] == "rank.found"} < set(range(2, 200))
    assert (events.parents[1] / "host/environment.json").is_file()
    assert not list((tmp_path / "t").iterdir())


@pytest.fixture
def sandbox(tmp_path):
    """A real gVisor in which two ranks stand still, started by nobody of us: how it is entered."""
    if os.geteuid() or not shutil.which("runsc"):
        pytest.skip("gVisor's runsc is not installed, or we are not root")
    runsc = ["runsc", "--root", str(tmp_path / "r"), "--network=none", "--platform=ptrace"]
    runsc += ["--ignore-cgroups", "--overlay=false"]
    (tmp_path / "train.py").write_text(STUCK)
    subprocess.run([*runsc, "spec"], cwd=tmp_path, check=True)
    spec = json.loads((tmp_path / "config.json").read_text())
    start = "for r in 0 1; do RANK=$r LOCAL_RANK=$r WORLD_SIZE=2 python3 train.py & done; wait"
    spec["root"] = {"path": "/", "readonly": False}
    spec["process"] |= {"args": ["sh", "-c", start], "cwd": str(tmp_path), "terminal": False}
    spec["process"] |= {"env": [f"PATH={BARE['PATH']}"]}
    (tmp_path / "config.json").write_text(json.dumps(spec))
    with (tmp_path / "log.txt").open("wb") as log:
        begin = [*runsc, "run", "--bundle", str(tmp_path), "--detach", "box"]
        subprocess.run(begin, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60)
    try:
        end = time.monotonic() + 30
        while (tmp_path / "log.txt").read_bytes().count(b"step 7") < 2 and time.monotonic() < end:
            time.sleep(0.1)
        yield [*runsc, "exec", "--cap", "CAP_SYS_PTRACE", "box"]
    finally:
        subprocess.run([*runsc, "kill", "box", "KILL"], timeout=30)
        time.sleep(1)
        subprocess.run([*runsc, "delete", "box"], timeout=30)


@pytest.mark.slow
def test_ranks_in_a_real_gvisor_are_looked_at_and_what_is_not_real_is_told(plane, sandbox, tmp_path):
    task = plane.ask("box", env=BARE, prefix=sandbox)["task"]
    said = attach(plane, tmp_path, task, "--format", "json")
    assert said.code == 3, said.err
    seen = said.verdict["coverage"]
    assert seen["stack_dump"]["present"] == [0, 1], said.err
    assert seen["kernel_log"]["refused"] == seen["cgroup"]["refused"] == [0, 1]
    assert "gVisor" in seen["kernel_log"]["reason"]["0"]
    assert "host_oom_kill" not in {cause["failure"] for cause in said.verdict["causes"]}

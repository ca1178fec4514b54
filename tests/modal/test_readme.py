"""README's section on Modal: every line of it, in its order, against the loopback plane, on two ranks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.modal.container import BARE, PYTHON, stuck

pytestmark = [pytest.mark.torch, pytest.mark.ranks]
TOP, HAS_PYTHON = Path(__file__).parents[2], Path(PYTHON).exists()
TRAIN = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
dist.all_reduce(torch.ones(1))
dist.destroy_process_group()
"""


def blocks():
    """(language, text) of each block of the section."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## On Modal") :].split("\n## ")[0]
    return re.findall(r"^```(\w+)\n(.*?)^```", section, flags=re.S | re.M)


@pytest.fixture
def more(plane, tmp_path):
    """How a command line is run."""
    (tmp_path / "train.py").write_text(TRAIN)
    environ = plane.environ(OMP_NUM_THREADS="1", PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin")
    return {"cwd": tmp_path, "env": environ, "capture_output": True, "text": True, "timeout": 200}


@pytest.fixture
def contain(plane, more):
    """What Modal does by itself: containers, in which our code lies where the test has it."""
    env = {name: more["env"][name] for name in ("PATH", "OMP_NUM_THREADS")}
    env["PYTHONPATH"] = f"{more['env']['PYTHONPATH']}:{more['cwd']}"

    def started(verb="start"):
        found = plane.ask(verb, env=env)
        for one in found if verb == "gather" else [found]:
            assert plane.ask("wait", task=one["task"])["code"] == 0

    return started


def test_every_block_works_in_its_order(plane, tmp_path, more, contain):
    for language, text in blocks():
        if language == "python":
            spawn(text, tmp_path, more)
            contain()
        elif "attach" in text:
            look(plane, text, tmp_path / "container", more)
        elif "modal preflight" in text:
            told = check(text, contain, tmp_path, more)
            assert re.search(r"modal: container ta-\w+, region loopback", told), told
        else:
            for line in text.splitlines():
                typed(line, contain, tmp_path, more)
    assert len(list((tmp_path / "runs").iterdir())) == 3 + HAS_PYTHON
    if not HAS_PYTHON:
        pytest.skip("all but the look into a container: no Python beside the tests' own")


@pytest.mark.slow
def test_with_two_nodes_one_report_has_both(tmp_path, more, contain):
    [text] = [text for _, text in blocks() if "modal preflight" in text]
    told = check(text.replace("--code .", "--nodes 2 --code ."), contain, tmp_path, more, "gather")
    assert re.search(r"modal: container ta-\w+, ta-\w+, region loopback", told), told
    assert "node-0, node-1 H200:8 asked for" in told, told


def typed(line, contain, folder, more):
    """One line of a block, with two ranks for eight."""
    here = line.replace("--code .", f"--code . --workdir {folder}").replace("-node 8", "-node 2")
    done = subprocess.run(["sh", "-c", here], **more)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    if "launch" in line and "--dry-run" not in line:
        contain()
    if "collect" in line:
        assert "ok: exit code 0" in done.stderr


def spawn(text, folder, more):
    """A function of their own, called as they would."""
    (folder / "theirs.py").write_text(text.replace('"8", "train.py"', f'"2", "{folder}/train.py"'))
    program = "import theirs\nwith theirs.app.run(detach=True): theirs.train.spawn('my-run')"
    done = subprocess.run([sys.executable, "-c", program], **more)
    assert done.returncode == 0, done.stderr


def check(text, contain, folder, more, verb="start"):
    """Where the GPUs that were asked for are not there: what needs them could not be checked. Its report."""
    piped = {"cwd": more["cwd"], "env": more["env"], "text": True}
    piped |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    here = text.replace("--code .", f"--code . --workdir {folder}")
    with subprocess.Popen(["sh", "-c", here], **piped) as one:
        while "call " not in (line := one.stderr.readline()):
            assert line, "not launched"
        contain(verb)
        out, errors = one.communicate(timeout=200)
    assert one.returncode in (1, 3), "1 where this machine has too few CPUs for eight GPUs"
    assert "needed: no GPU here" in out, out + errors
    return " ".join(out.split())  # wherever its lines are broken


def look(plane, text, folder, more):
    """Into a container that has nothing of ours: two ranks of it stand still, and nobody can say why."""
    if not HAS_PYTHON:
        return
    with stuck(folder) as (_, [pid, _]):
        task = plane.ask("box", env=BARE)["task"]
        here = text.strip().replace("ta-01KB2M4XQZ", f"{task} {pid}")
        done = subprocess.run(["sh", "-c", here], **more)
    assert done.returncode == 3 and "not moving" in done.stdout, done.stderr

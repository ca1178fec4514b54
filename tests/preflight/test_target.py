"""What is looked at is the job's: its interpreter, its environment, its ranks."""

import sys
from pathlib import Path

import click
import pytest

import probes
from diagnose.cli import _preflight
from diagnose.cli import preflight as checking
from probes import procfs
from probes.checking.__main__ import job_environment
from probes.checking.check import COSTS, Target
from probes.checking.interpreter import NoAnswer, ask
from probes.checking.machine import interpreter, missing, see

HERE = str(Path(probes.__path__[0]).parent)


@pytest.mark.parametrize(
    ("path", "left"), [(HERE, None), (f"{HERE}:/a:/b", "/a:/b"), ("/a", "/a"), (f"/a:{HERE}", f"/a:{HERE}")]
)
def test_the_job_does_not_get_the_path_of_our_modules(path, left):
    assert job_environment({"PYTHONPATH": path, "A": "1"}).get("PYTHONPATH") == left


def test_the_interpreter_is_that_of_the_command(tmp_path):
    python = str(Path(sys.executable))
    script = tmp_path / "torchrun"
    script.write_text(f"#!{python}\nprint(1)\n")
    script.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert interpreter(["torchrun", "train.py"], path) == python
    assert interpreter([python, "train.py"], path) == python
    assert Path(interpreter(["/no/such"], {"PATH": str(Path(python).parent)})).name == "python3"
    assert interpreter([], {"PATH": "/none"}) == sys.executable
    assert interpreter(["env", "A=1", python, "train.py"], path) == python


@pytest.mark.parametrize(
    ("program", "limit_s", "word"),
    [("import no_such", 20.0, "no_such"), ("pass", 20.0, "no JSON"), ("while True: pass", 0.2, "within")],
)
def test_an_interpreter_that_does_not_answer_says_why(program, limit_s, word):
    with pytest.raises(NoAnswer, match=word) as told:
        ask(Target({}, python=sys.executable), program, limit_s)
    assert told.value.in_time is (word != "within")


def test_the_job_gets_its_environment():
    told = ask(
        Target({"MINE": "1"}, python=sys.executable), "import os; print(len(os.environ['MINE']))", 20.0
    )
    assert told == 1


def test_a_machine_is_known_by_its_files(tmp_path):
    for name in ("dev/nvidia0", "dev/nvidia1", "dev/nvidiactl", "sys/class/infiniband/mlx5_0", "proc/gvisor"):
        (tmp_path / name).mkdir(parents=True)
    seen = see(str(tmp_path))
    assert (seen.num_gpus, seen.num_rdma, seen.kernel) == (2, 1, "gvisor")
    assert procfs.is_gvisor(str(tmp_path)) and not missing(("gpu", "gpus", "rdma"), seen, Target({}))
    assert missing(("gpu",), seen._replace(num_gpus=0), Target({})).startswith("no GPU")
    assert missing(("gpus",), seen._replace(num_gpus=1), Target({})) and missing(("nodes",), seen, Target({}))


def test_the_command_line_knows_exactly_the_costs_that_checks_declare():
    assert _preflight.costs(list(COSTS)) == list(COSTS)
    with pytest.raises(click.UsageError) as refused:
        _preflight.costs(["money"])
    assert refused.value.message.endswith(f"known: {', '.join(COSTS)}")
    assert all(cost in checking.command.help for cost in COSTS)

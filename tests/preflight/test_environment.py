"""A wrong setting in a real process is found and named, with the place where it was set."""

import os
import subprocess
import sys

import pytest

from diagnose import playbook
from diagnose.children import environment
from diagnose.playbook import Environment
from diagnose.preflight import book
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import of_lines
from probes import procfs
from probes.checking import origin

CHECKS = ["environment_footguns", "environment_policy", "deprecated_variables"]
PROBE = f"{sys.executable} -P -m probes.checking {' '.join(CHECKS)}"
POLICY = playbook.read(playbook.root() / "environment" / "policy.toml", Environment).variable
WRONG = {  # of a value that is wrong; of what is to be unset, any
    "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC": "600",
    "TORCH_DISTRIBUTED_DEBUG": "DETAIL",
    "FSDP_USE_ORIG_PARAMS": "false",
    "LD_LIBRARY_PATH": "/opt/hpcx/ucx/lib",
}
FOOTGUNS = {
    "NCCL_P2P_DISABLE": "1",
    "NCCL_SHM_DISABLE": "1",
    "CUDA_LAUNCH_BLOCKING": "1",
    "NCCL_ALGO": "Ring",
    "NCCL_PROTO": "LL",
    "TORCH_NCCL_BLOCKING_WAIT": "1",
    "NCCL_DEBUG": "trace",
    "NCCL_TIMEOUT": "1800",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "0",
}


def judged(argv, tmp_path, **given):
    """Subjects of all checks by name of the check, as a process with this environment tells them."""
    environ = {**environment(), "HOME": str(tmp_path), **given}
    done = subprocess.run(argv, env=environ, stdout=subprocess.PIPE, check=True, timeout=60)
    report = judge(of_lines(done.stdout.splitlines()), book.load())
    return {check.name: {part.subject: part for part in check.subjects} for check in report.checks}


@pytest.fixture(scope="module")
def all_wrong(tmp_path_factory):
    """What a process tells below a script that exports each wrong value, a line each; and the script."""
    home = tmp_path_factory.mktemp("home")
    wrong = {name: WRONG.get(name, "wrong") for name in POLICY} | FOOTGUNS
    lines = [f"export {name}='{value}'" for name, value in wrong.items()]
    (home / "launch.sh").write_text("\n".join([*lines, PROBE, "exit 0\n"]))
    places = {name: f"{home}/launch.sh:{number}" for number, name in enumerate(wrong, 1)}
    return judged(["/bin/bash", str(home / "launch.sh")], home), places


@pytest.mark.parametrize("name", POLICY)
def test_each_row_of_the_policy_that_is_wrong_is_named_with_its_line(all_wrong, name):
    found, places = all_wrong
    part = found["environment_policy"][name]
    assert (part.outcome, part.where) == ("warn", places[name]), part.reason


@pytest.mark.parametrize("name", FOOTGUNS)
def test_each_footgun_is_named_with_its_line(all_wrong, name):
    found, places = all_wrong
    part = found["environment_footguns"][name]
    assert (part.outcome, part.where) == ("warn", places[name]), part.reason


def test_what_the_policy_sets_is_right(tmp_path):
    right = {name: row.value for name, row in POLICY.items() if row.value}
    found = judged(PROBE.split(), tmp_path, **right)
    kept = {name: part.reason for name, part in found["environment_policy"].items() if name in right}
    assert {found["environment_policy"][name].outcome for name in kept} == {"pass"}, kept


def test_a_secret_is_not_told(tmp_path):
    found = judged(PROBE.split(), tmp_path, HF_TOKEN="hf_abcdefghijklmnopqrstuvwxyz0123456789")
    assert found["environment_policy"]["HF_TOKEN"].values["value"] == "<redacted>"


def place(tmp_path, script, name="NCCL_ALGO"):
    """Where a real shell that ran this text is told to have set the variable."""
    (tmp_path / "launch.sh").write_text(script)
    found = judged(["/bin/bash", str(tmp_path / "launch.sh")], tmp_path)
    return found["environment_footguns"][name].where


def test_a_script_that_exports_it_is_told_with_the_line(tmp_path):
    script = f"#!/bin/bash\n# NCCL_ALGO=Tree\nexport NCCL_ALGO=Ring\n{PROBE}\nexit 0\n"
    assert place(tmp_path, script) == f"{tmp_path}/launch.sh:3"


def test_a_profile_that_exports_it_is_told_with_the_line(tmp_path):
    (tmp_path / ".bashrc").write_text("alias l=ls\n\n  export NCCL_ALGO=Ring\n")
    assert place(tmp_path, f". ~/.bashrc\n{PROBE}\nexit 0\n") == f"{tmp_path}/.bashrc:3"


def test_a_word_before_the_command_is_told_with_the_process(tmp_path):
    where = place(tmp_path, f"sh -c 'eval NCCL_AL\"\"GO=Ring {PROBE}; exit 0'\nexit 0\n")
    assert where.startswith("process ") and where.endswith("or a word before the command")


def test_the_command_that_is_to_be_run_is_read_too():
    command = ("env", "NCCL_ALGO=Ring", "torchrun", "train.py")
    assert origin.of("NCCL_ALGO", command, {}) == "the command line"


def test_what_process_1_had_came_with_the_image(monkeypatch):
    """Three processes below each other; one variable is from the first, one from the second."""
    environs = {1: b"A=1\0B=1\0", 7: b"A=1\0B=2\0", 9: b"A=1\0B=2\0"}
    stat = procfs.stat(os.getpid())
    monkeypatch.setattr(procfs, "read", lambda path: environs.get(int(path.split("/")[2])))
    monkeypatch.setattr(procfs, "stat", lambda pid: stat._replace(ppid={9: 7, 7: 1, 1: 0}[pid]))
    monkeypatch.setattr(procfs, "cmdline", lambda pid: ["runner", "--token=abc"])
    assert origin.first_holder("A", "1", 9) == (1, 0)
    assert "process 1" in origin.of("A", (), {"A": "1"}, 9)
    assert origin.first_holder("B", "2", 9) == (7, 1)
    assert origin.of("B", (), {"B": "2"}, 9).startswith("process 1 (runner")
    assert origin.first_holder("C", "1", 9) == (0, 9)

"""What the parent tells of a run's making: no secret in it, and nothing of the user's code runs for it."""

import os
import subprocess

import pytest

from diagnose import provenance

SECRETS = [
    "hf_abcdefghijklmnopqrstuvw",
    "sk-abcdefghijklmnopqrstuvwx",
    "ghp_abcdefghijklmnopqrstuvw",
    "AKIAABCDEFGHIJKLMNOP",
    "postgres://me:hunter2pass@db/x",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one commit, whose monitor and hooks would leave a file behind."""
    here = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(tmp_path)}
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o700)
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text("1\n")
    user = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*user, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, env=here, check=True)
    subprocess.run(["git", "config", "core.fsmonitor", str(trap)], cwd=folder, env=here, check=True)
    (folder / ".git" / "hooks" / "post-index-change").symlink_to(trap)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return folder


def test_a_checkout_is_read_and_none_of_its_code_runs(checkout):
    command = ["python", str(checkout / "train.py")]
    clean = provenance.checkout(command)
    assert (clean["branch"], clean["dirty"], clean["num_untracked"]) == ("main", False, 0)
    assert len(str(clean["commit"])) == 40
    (checkout / "train.py").write_text("2\n")
    (checkout / "new.py").write_text("")
    told = provenance.checkout(command)
    assert (told["dirty"], told["num_changed"], told["num_untracked"]) == (True, 1, 1)
    assert told["commit"] == clean["commit"] and not (checkout.parent / "sprung").exists()


def test_where_there_is_no_checkout_the_reason_is_told(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text("")
    told = provenance.checkout(["python", str(tmp_path / "train.py")])
    assert set(told) == {"reason"} and "not a git repository" in str(told["reason"])
    assert provenance.checkout(["python"], deadline_s=0) == {"reason": "git did not answer"}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.checkout(["python"]) == {"reason": "git is not installed"}


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_gets_into_variables_or_arguments(secret):
    environ = {"NCCL_X": secret, "TORCH_AUTH_TOKEN": secret, "TRITON_PLAIN": "1", "OTHER": secret}
    told = provenance.variables(environ, "/spool")
    assert set(told) == {"NCCL_X", "TORCH_AUTH_TOKEN", "TRITON_PLAIN"}
    words = provenance.arguments(["train.py", f"--url={secret}", "--api-key", secret, secret])
    assert "hunter2pass" not in f"{told}{words}" and secret not in f"{told}{words}"


def test_the_driver_is_read_where_there_is_one(tmp_path):
    file = tmp_path / "version"
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 2024\n")
    assert provenance.driver(str(file)) == "550.54.15" and provenance.driver("/nowhere") == ""
    file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release\n")
    assert provenance.driver(str(file)) == "570.86.10"

"""What the parent tells of a run's making: no secret in it, and nothing of the user's code runs for it."""

import json
import os
import subprocess

import pytest

from diagnose import installed, provenance, uncommitted
from probes import allowance

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
    assert clean["digest"] == "" and told["digest"] == provenance.checkout(command)["digest"] != ""
    (checkout / "new.py").write_text("3")
    assert provenance.checkout(command)["digest"] not in ("", told["digest"])
    os.mkfifo(checkout / "pipe.py")  # nobody waits for a writer
    (checkout / "train.py").unlink()
    assert provenance.checkout(["python"], folder=checkout)["digest"]
    (checkout / "link.py").symlink_to("one")
    first = provenance.checkout(["python"], folder=checkout)["digest"]
    (checkout / "link.py").unlink()
    (checkout / "link.py").symlink_to("two")
    assert provenance.checkout(["python"], folder=checkout)["digest"] not in ("", first)
    (checkout / 'a"b.py').write_text("1")  # git quotes it: which file that is cannot be told
    assert provenance.checkout(["python"], folder=checkout)["digest"] == ""
    assert told["commit"] == clean["commit"] and not (checkout.parent / "sprung").exists()


def test_the_commit_of_a_worktree_and_of_packed_branches_is_read_as_git_reads_it(checkout, tmp_path):
    for words in (["worktree", "add", "-q", "-b", "side", str(tmp_path / "side")], ["pack-refs", "--all"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    assert not (checkout / ".git" / "refs" / "heads" / "side").exists()
    commit = provenance.checkout((), folder=checkout)["commit"]
    assert uncommitted.head(checkout) == uncommitted.head(tmp_path / "side") == commit


def test_of_a_submodule_no_branch_of_what_holds_it_is_taken(checkout):
    (checkout / ".git" / "modules" / "sub").mkdir(parents=True)
    (checkout / ".git" / "modules" / "sub" / "HEAD").write_text("ref: refs/heads/main\n")
    (checkout / ".git" / "modules" / "sub" / "packed-refs").write_text(f"{'a' * 40} refs/heads/main\n")
    (checkout / "sub").mkdir()
    (checkout / "sub" / ".git").write_text("gitdir: ../.git/modules/sub\n")
    assert uncommitted.head(checkout / "sub") == "a" * 40


def test_what_git_s_own_files_hold_of_nonsense_is_no_commit(tmp_path):
    (tmp_path / ".git").write_bytes(b"gitdir: \xff\0/x\n")
    assert uncommitted.content(tmp_path, 100) is None


def test_where_there_is_no_checkout_the_reason_is_told(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text("")
    told = provenance.checkout(["python", str(tmp_path / "train.py")])
    assert "not a git repository" in str(told["reason"]) and len(str(told["digest"])) == 12
    (tmp_path / "train.py").write_text("1")
    assert provenance.checkout(["python", str(tmp_path / "train.py")])["digest"] != told["digest"]
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


def test_packages_are_known_by_their_folders_and_an_editable_one_by_its_commit(tmp_path, checkout):
    site = tmp_path / "lib" / "python3.12" / "site-packages"
    own = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    for name, told in (("numpy-2.0.1", None), ("My_Lib-0.1", own), ("odd-1", "[" * 9000), ("sent-2", [1])):
        (folder := site / f"{name}.dist-info").mkdir(parents=True)
        if told:
            text = told if isinstance(told, str) else json.dumps(told)
            (folder / "direct_url.json").write_text(text)
    (tmp_path / "bin").mkdir()
    found = installed.packages(tmp_path / "bin" / "python3.12", {})
    commit = provenance.checkout((), folder=checkout)["commit"]
    assert found["my_lib"] == f"0.1 editable {commit[:12]}"
    assert (found["numpy"], found["odd"], found["sent"]) == ("2.0.1", "1", "2")


def test_our_own_folder_is_no_part_of_the_path_and_a_run_s_own_ids_are_left_out():
    environ = {"PYTHONPATH": "/x/probes/rank_hook:/mine", "TORCHELASTIC_RUN_ID": "1", "LANG": "C"}
    assert provenance.variables(environ, "/s") == {"LANG": "C", "PYTHONPATH": "/mine"}
    assert provenance.variables({"PYTHONPATH": "/x/probes/rank_hook"}, "/s") == {}


def test_what_the_host_gives_is_told_in_plain_values():
    told = allowance.host()
    assert {"kernel", "cpus", "memory", "open_files", "locked_memory"} <= told.keys()
    assert all(value and isinstance(value, str | int | float) for value in told.values())


def test_the_driver_is_read_where_there_is_one(tmp_path):
    file = tmp_path / "version"
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 2024\n")
    assert provenance.driver(str(file)) == "550.54.15" and provenance.driver("/nowhere") == ""
    file.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release\n")
    assert provenance.driver(str(file)) == "570.86.10"

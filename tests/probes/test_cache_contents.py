"""What is in a compile cache: counted by kind, with what no compiler puts there."""

import fcntl
import json
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

from probes import cache, provenance
from tests.caching.conftest import KEY, group, lay


def read(folder: Path, part: str = "inductor"):
    return cache.measure(part, str(folder), 2e9, cache.procfs.read("/proc/locks"))


def test_entries_are_counted_by_what_would_have_to_be_compiled_again(tmp_path: Path) -> None:
    lay(tmp_path)
    found = read(tmp_path)
    counts = {kind: (row["entries"], row["files"]) for kind, row in found["kinds"].items()}
    assert counts == {
        "autograd": (1, 1),
        "autotune": (1, 1),
        "code": (3, 3),
        "draft": (2, 2),
        "graph": (1, 1),
        "header": (1, 1),
        "library": (1, 1),
        "lock": (1, 1),
        "triton": (1, 2),
    }
    assert found["num_entries"] == 5 and found["num_files"] == 9
    assert found["num_bytes"] == sum(
        row["bytes"] for kind, row in found["kinds"].items() if kind not in cache.LEFT_OUT
    )
    assert found["odd"] == [] and found["error"] == "" and found["exists"]


def test_kernels_of_a_plain_copy_do_not_count(tmp_path: Path) -> None:
    lay(tmp_path)
    group(tmp_path, Path("/old/place"))
    found = read(tmp_path)
    assert found["num_entries"] == 4 and found["kinds"]["triton"]["entries"] == 0
    assert found["odd"] == [
        {"path": KEY, "what": "and so 1: made for files at another place, as a plain copy is"}
    ]
    for data in ("", "[]", '{"child_paths": 3}', "[" * 100_000, '{"child_paths": {"a": "\\u0000"}}'):
        (tmp_path / KEY / "__grp__kernel.json").write_text(data)
        assert read(tmp_path)["error"] == ""


def test_no_folder_is_an_empty_cache_and_one_that_cannot_be_read_an_error(tmp_path: Path) -> None:
    found = read(tmp_path / "none")
    assert (found["num_entries"], found["error"], found["exists"]) == (0, "", False)
    (tmp_path / "file").touch()
    assert read(tmp_path / "file")["error"] == "Not a directory"


def test_what_no_compiler_puts_there_is_odd(tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / "fv" / "cfv1.py").chmod(0o666)
    (tmp_path / "dynamo" / "code_state_x.pkl").chmod(0o755)
    (tmp_path / "7s" / "c7s1.main.so").chmod(0o4755)
    (tmp_path / "7s" / "evil.so").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fv" / "pipe")
    (tmp_path / "fxgraph").chmod(0o777)
    assert {(one["path"], one["what"]) for one in read(tmp_path)["odd"]} == {
        ("fv/cfv1.py", "everyone may write it"),
        ("fxgraph", "everyone may write it"),
        ("dynamo/code_state_x.pkl", "may be executed, and is no library"),
        ("7s/c7s1.main.so", "runs as its owner"),
        ("7s/evil.so", "a link"),
        ("fv/pipe", "a pipe"),
    }
    status = tmp_path.stat()
    other = os.stat_result([status.st_mode, 1, 1, 1, 4711, 0, 0, 0, 0, 0])
    assert list(cache.odd("x", other, 1000)) == [("x", "belongs to user 4711")]


def test_a_lock_that_is_held_has_a_holder_and_one_that_was_left_none(tmp_path: Path) -> None:
    lay(tmp_path)
    assert read(tmp_path)["held"] == []
    with (tmp_path / "locks" / "c7s1.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        [held] = read(tmp_path)["held"]
    assert (held["path"], held["pid"]) == ("locks/c7s1.lock", os.getpid())
    assert cache.measure("inductor", str(tmp_path), 0.0, None)["held"] is None


def test_the_probe_prints_a_line_for_each_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay(tmp_path / "i")
    assert cache.main(["--inductor", str(tmp_path / "i"), "--triton", str(tmp_path / "t")]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["event"], one["part"], one["num_entries"]) for one in told] == [
        ("cache.read", "inductor", 5),
        ("cache.read", "triton", 0),
    ]


def test_versions_are_those_of_the_interpreter_that_is_asked(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"torch": "9.9", "cuda": 1}\'\n')
    python.chmod(0o755)
    assert provenance.versions(str(python)) == {"torch": "9.9"}
    assert provenance.versions(str(tmp_path / "none")) == {}
    told = provenance.versions(sys.executable)
    assert told["python"] == ".".join(map(str, sys.version_info[:3])) and "torch" in told
    try:
        assert told["torch"] == metadata.version("torch")
    except metadata.PackageNotFoundError:
        assert told["torch"] == ""


@pytest.mark.parametrize(
    ("printed", "code", "names"),
    [("NVIDIA H200\\nNVIDIA H200\\n", 0, ["NVIDIA H200"] * 2), ("Failed to initialize NVML\\n", 9, None)],
)
def test_gpus_are_those_of_the_driver(
    printed, code, names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{printed}'\nexit {code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(provenance.glob, "glob", lambda pattern: ["/dev/nvidia0"])
    assert provenance.gpus() == names

"""The wheel, as a stranger gets it: installed in a clean venv without torch, used from another folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent


def call(*command: str | Path, cwd: Path, codes: tuple[int, ...] = (0,)) -> str:
    """Standard output of a command that must end with one of `codes`."""
    environment = {
        key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in codes, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a venv that holds our wheel and what it depends on."""
    there = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", there, TOP, cwd=there)
    call(sys.executable, "-m", "venv", there / "venv", cwd=there)
    pip = [there / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    [wheel] = there.glob("*.whl")
    call(*pip, "-c", TOP / "constraints.txt", wheel, cwd=there)
    return there / "venv/bin"


def test_help_lists_the_commands(installed: Path, tmp_path: Path) -> None:
    text = call(installed / "diagnose", "--help", cwd=tmp_path)
    assert all(word in text for word in ("run", "postmortem", "explain", "drill"))


def test_the_playbook_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "cache" in call(installed / "diagnose", "explain", "compile_skew", cwd=tmp_path)


def test_a_stored_case_is_judged_without_torch(installed: Path, tmp_path: Path) -> None:
    case = TOP / "tests" / "cases" / "user_lock_deadlock" / "bundle"
    text = call(installed / "diagnose", "postmortem", case, "--format", "json", cwd=tmp_path, codes=(1,))
    assert json.loads(text)["schema"] == "diagnose/verdict/1"
    call(installed / "python", "-c", "import torch", cwd=tmp_path, codes=(1,))


def test_drills_say_that_torch_is_missing(installed: Path, tmp_path: Path) -> None:
    out = call(installed / "diagnose", "drill", "healthy_plain", "--format", "json", cwd=tmp_path, codes=(3,))
    [row] = json.loads(out)["drills"]
    assert row["skipped"] and "torch" in row["reason"]


def test_the_rank_hook_and_the_probes_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = (
        "import pathlib, probes; print(pathlib.Path(probes.__file__).parent / 'rank_hook/sitecustomize.py')"
    )
    assert Path(call(installed / "python", "-c", code, cwd=tmp_path).strip()).is_file()


def test_the_wheel_that_travels_to_modal_holds_the_same(installed: Path) -> None:
    pytest.importorskip("modal")
    from diagnose.surfaces.modal.wheel import wheel

    [built] = installed.parent.parent.glob("*.whl")
    with zipfile.ZipFile(built) as theirs, zipfile.ZipFile(wheel()) as ours:
        told = {name for name in theirs.namelist() if ".dist-info/" not in name}
        assert told == {name for name in ours.namelist() if ".dist-info/" not in name}
        assert all(theirs.read(name) == ours.read(name) for name in told)

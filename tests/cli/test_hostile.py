"""Where evidence is hard to keep: the job goes on, one clear line says what is wrong, and nothing is lost."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.cli.conftest import DIAGNOSE, ours

RUN = ("run", "--root", "runs", "--")
TALKS = """
import sys, time
for i in range(3000): print('x' * 80)
sys.stdout.flush()
time.sleep(1)
open('done', 'w')
raise SystemExit(4)
"""


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A tmpfs of so many bytes; skips where none can be mounted."""
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True)
    if made.returncode:
        pytest.skip(f"cannot mount a small disk here: {made.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_on_a_disk_that_runs_full_the_verdict_is_right_and_the_rest_comes_when_there_is_room(place):
    with small_disk(place.path / "disk", "96k") as disk:
        ended = place.run("run", "--root", "disk/runs", "--", *place.program(TALKS))
        assert ended.returncode == 4 and (place.path / "done").exists()
        said = ours(ended.stderr)
        assert len([line for line in said if "takes no data now (No space left on device)" in line]) == 1
        (spool,) = place.temporary.glob("dg-*")
        assert any(f"it is in {spool}, and judged from there" in line for line in said)
        assert (
            b"CRASH" in ended.stderr and b"exit code 4" in ended.stderr and b"Traceback" not in ended.stderr
        )
        (run,) = (disk / "runs").iterdir()
        assert not (run / "record.json").exists(), "a record says that the verdict is final"
        subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
        shown = place.run("show", "--format", "json", str(run))
        assert msgspec.json.decode(shown.stdout)["run"]["exit_code"] == 4
        assert msgspec.json.decode((run / "record.json").read_bytes())["exit_path"] == "exit"
        assert (run / "attempts/1/logs/launcher.log").stat().st_size == 3000 * 81
        assert list(place.temporary.iterdir()) == []
    assert place.processes() == []


def test_a_disk_that_becomes_free_again_in_the_middle_misses_nothing(place, wait):
    with small_disk(place.path / "disk", "96k") as disk, (place.path / "err").open("wb") as told:
        command = place.program(TALKS.replace("time.sleep(1)", "sys.stdin.read()"))
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": told}
        process = place.start("run", "--root", "disk/runs", "--", *command, **given)
        wait(lambda: b"takes no data now" in (place.path / "err").read_bytes())
        subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
        wait(lambda: b"takes data again" in (place.path / "err").read_bytes())
        process.communicate(timeout=120)
        assert process.returncode == 4
        (run,) = (disk / "runs").iterdir()
        assert (run / "record.json").is_file()
        assert (run / "attempts/1/logs/launcher.log").stat().st_size == 3000 * 81
        assert list(place.temporary.iterdir()) == []


def test_without_room_for_a_single_file_nothing_is_started_and_nothing_stays(place):
    with small_disk(place.path / "disk", "4k") as disk:
        (disk / "full").write_bytes(b"x" * 4096)
        ended = place.run("run", "--root", "disk/runs", "--", "touch", "started")
        assert ended.returncode == 2 and ended.stderr.count(b"\n") == 1
        assert b"No space left on device" in ended.stderr
        assert list((place.path / "disk").glob("runs/*")) == []
    assert not (place.path / "started").exists()
    assert list(place.temporary.iterdir()) == []


@pytest.mark.parametrize("size", ["8k", "400k"])
def test_where_the_spool_has_no_room_that_is_said_and_the_command_goes_on(place, size):
    with small_disk(place.path / "small", size) as small:
        place.environ["TMPDIR"] = str(small)
        ended = place.run(*RUN, *place.program(TALKS.replace("range(3000)", "range(9000)")))
        assert ended.returncode == 4 and len(ended.stdout) == 9000 * 81
        assert b"Traceback" not in ended.stderr
        (line,) = [line for line in ours(ended.stderr) if "the output is not kept" in line]
        assert "No space left on device" in line
        assert not any("has died" in line for line in ours(ended.stderr))


def test_a_root_that_is_read_only_is_refused_in_one_line(place):
    with small_disk(place.path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = place.run("run", "--root", "disk/runs", "--", "touch", "started")
        assert ended.returncode == 2 and ended.stderr.count(b"\n") == 1
        assert b"Read-only file system" in ended.stderr
    assert not (place.path / "started").exists()


def as_nobody(place) -> tuple[list[str], Path]:
    """A prefix that runs `diagnose` as another user, and a folder of that user's."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv to become another user")
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if subprocess.run([*prefix, *DIAGNOSE, "--version"], cwd="/", capture_output=True).returncode:
        pytest.skip("another user cannot run this Python")
    home = Path(tempfile.mkdtemp(prefix="dn-"))
    os.chown(home, 65534, 65534)
    place.environ["TMPDIR"] = str(home)
    return prefix, home


def test_a_root_of_somebody_else_is_refused_in_one_line_before_the_start(place):
    prefix, home = as_nobody(place)
    try:
        (home / "theirs").mkdir(mode=0o755)
        words = [*prefix, *DIAGNOSE, "run", "--root", str(home / "theirs" / "runs"), "--", "touch", "started"]
        ended = subprocess.run(words, cwd=home, env=place.environ, capture_output=True)
        assert ended.returncode == 2 and ended.stderr.count(b"\n") == 1
        assert b"Permission denied" in ended.stderr
        assert [path.name for path in home.iterdir()] == ["theirs"]
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("num", [1, 3])
def test_where_the_user_may_start_no_more_processes_the_command_runs_or_is_refused(place, num):
    prefix, home = as_nobody(place)
    try:
        words = [*prefix, *DIAGNOSE, "run", "--root", "runs", "--", "sh", "-c", "exit 3"]
        ended = subprocess.run(
            ["prlimit", f"--nproc={num}", *words],
            cwd=home,
            env=place.environ,
            capture_output=True,
            timeout=120,
        )
        assert ended.returncode in (3, 126) and b"Traceback" not in ended.stderr
        assert ended.returncode == 3 or b"Resource temporarily unavailable" in ended.stderr
    finally:
        shutil.rmtree(home)

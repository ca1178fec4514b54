"""Where evidence is hard to keep: the job goes on, one clear line says what is wrong, and nothing is lost."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.cli.conftest import DIAGNOSE

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


def ours(stderr: bytes) -> list[str]:
    """The lines that are our own."""
    return [line for line in stderr.decode().splitlines() if line.startswith("diagnose: ")]


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
        process.communicate(timeout=40)
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


@pytest.mark.parametrize("num", [1, 3, 6])
def test_where_the_user_may_start_no_more_processes_the_command_runs_or_is_refused(place, num):
    prefix, home = as_nobody(place)
    try:
        words = [*prefix, *DIAGNOSE, "run", "--root", "runs", "--", "sh", "-c", "exit 3"]
        ended = subprocess.run(
            ["prlimit", f"--nproc={num}", *words],
            cwd=home,
            env=place.environ,
            capture_output=True,
            timeout=60,
        )
        assert ended.returncode in (3, 126) and b"Traceback" not in ended.stderr
        assert ended.returncode == 3 or b"Resource temporarily unavailable" in ended.stderr
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_take_no_file_of_ours(place, closed):
    shut = " ".join(f"{fd}>&-" for fd in closed)
    words = " ".join([*DIAGNOSE, *RUN, "sh", "-c", "'echo out; echo err >&2; exit 3'"])
    ended = subprocess.run(
        ["sh", "-c", f"exec {words} {shut}"],
        cwd=place.path,
        env=place.environ,
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode == 3
    assert ended.stdout == (b"" if 1 in closed else b"out\n")
    assert (b"err\n" in ended.stderr) == (2 not in closed)
    assert b"out\n" in (place.folder / "attempts/1/logs/launcher.log").read_bytes()
    assert place.record()["exit_code"] == 3


def test_words_that_are_no_utf_8_are_recorded_as_well_as_can_be(place):
    place.environ |= {"TORCH_FR_BUFFER_SIZE": os.fsdecode(b"\xff1"), "LC_ALL": "C"}
    root = os.fsdecode(b"r\xff")
    ended = place.run(
        "run", "--root", root, "--name", os.fsdecode(b"n\xfe"), "--", "sh", "-c", "exit 3", root
    )
    assert ended.returncode == 3 and b"internal error" not in ended.stderr
    (run,) = (place.path / root).iterdir()
    assert msgspec.json.decode((run / "record.json").read_bytes())["exit_code"] == 3
    assert place.run("show", "--format", "json", str(run)).returncode in (0, 1, 3)
    assert place.run("runs", "--root", root).returncode == 0


@pytest.mark.parametrize("odd", ["missing", "with space", "l" * 200, "größe"])
def test_odd_temporary_folders_make_no_difference(place, odd):
    folder = place.temporary / odd
    if odd != "missing":
        folder.mkdir()
    place.environ["TMPDIR"] = str(folder)
    ended = place.run(*RUN, *place.program("import os; print(os.environ['TMPDIR'])\nraise SystemExit(3)"))
    assert (ended.returncode, ended.stdout.decode().strip()) == (3, str(folder))
    assert place.record()["ranks"][0]["exit_code"] == 3


def test_a_poor_environment_changes_nothing(place):
    command = place.program(
        "import resource, sys\nprint(sys.flags.isolated, len(__import__('os').environ) > 0)"
    )
    place.environ = {"PATH": place.environ["PATH"], "PYTHONPATH": place.environ.get("PYTHONPATH", "")}
    place.environ["TMPDIR"] = str(place.temporary)
    words = ["prlimit", "--nofile=64", *DIAGNOSE, *RUN, command[0], "-I", "-S", *command[1:]]
    if not shutil.which("prlimit"):
        pytest.skip("prlimit is not installed")
    ended = subprocess.run(words, cwd=place.path, env=place.environ, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, b"1 True\n")
    assert len(ours(ended.stderr)) == 2


def test_a_run_inside_a_run_is_judged_in_both(place):
    inner = [*DIAGNOSE, "run", "--root", "inner", "--", *place.program("raise SystemExit(5)")]
    assert place.run(*RUN, *inner).returncode == 5
    assert place.record()["exit_code"] == 5
    (run,) = (place.path / "inner").iterdir()
    assert msgspec.json.decode((run / "record.json").read_bytes())["ranks"][0]["exit_code"] == 5
    assert list(place.temporary.iterdir()) == []


UGLY = r"""
import os, sys
parts = [bytes(range(256)), b'\0' * 1000, b'\x1b[2J\x1b]0;owned\x07\x1b[31mred', b'\xff\xfe\xc3(\n']
parts += [b'y' * 3_000_000]
parts += [b'\r%d%%|####' % i for i in range(200)]
for part in parts:
    os.write(1, part)
os.write(2, b'\x1b[31mRuntimeError: \x1b]0;owned\x07\xe2\x80\xae bad \0 batch\n')
raise ValueError('\x1b[2J \x07 \u202e evil')
"""


def test_what_a_rank_prints_passes_byte_for_byte_and_no_report_shows_it_raw(place):
    ended = place.run(*RUN, *place.program(UGLY))
    parts = [bytes(range(256)), b"\0" * 1000, b"\x1b[2J\x1b]0;owned\x07\x1b[31mred", b"\xff\xfe\xc3(\n"]
    assert ended.stdout == b"".join([*parts, b"y" * 3_000_000, *(b"\r%d%%|####" % i for i in range(200))])
    assert b"\x1b[31mRuntimeError: \x1b]0;owned\x07\xe2\x80\xae bad \0 batch\n" in ended.stderr
    report = ended.stderr.partition(b"\nrun  ")[2]
    assert b"evil" in report and not any(
        sign in report for sign in (b"\x1b", b"\x07", b"\0", b"\xe2\x80\xae")
    )
    for form in ("terminal", "markdown", "json"):
        shown = place.run("postmortem", str(place.folder), "--format", form)
        assert shown.returncode == 1
        assert not any(sign in shown.stdout for sign in (b"\x1b", b"\x07", b"\0"))
        assert form == "json" or b"\xe2\x80\xae" not in shown.stdout


LAUNCHER = """
import os, subprocess, sys
text = "import os, time\\ntime.sleep(0.1)\\nwhile not os.path.exists('go'): time.sleep(0.2)\\n"
text += "raise SystemExit(7 * (os.environ['RANK'] == '41'))"
jobs = []
for rank in range(64):
    mine = {**os.environ, 'RANK': str(rank), 'WORLD_SIZE': '64'}
    jobs.append(subprocess.Popen([sys.executable, '-c', text], env=mine))
raise SystemExit(max(job.wait() for job in jobs))
"""


def lines_of(run: Path, kind: str) -> list[dict[str, object]]:
    raw = b"".join(path.read_bytes() for path in sorted(run.glob("attempts/1/events/agent-*.jsonl")))
    return [line for line in map(msgspec.json.decode, raw.splitlines()) if line["event"] == kind]


def test_the_agent_keeps_up_with_64_ranks(place, wait):
    process = place.start(*RUN, *place.program(LAUNCHER))
    wait(lambda: place.root.is_dir() and list(place.root.iterdir()))
    wait(lambda: len(lines_of(place.folder, "rank.found")) == 64)
    victim = next(line["pid"] for line in lines_of(place.folder, "rank.found") if line["rank"] == 9)
    os.kill(victim, signal.SIGSTOP)
    wait(lambda: lines_of(place.folder, "rank.stopped"))
    os.kill(victim, signal.SIGCONT)
    (place.path / "go").touch()
    _, err = process.communicate(timeout=40)
    assert process.returncode == 7
    assert b"CRASH" in err and b"rank 41" in err
    assert [line["rank"] for line in lines_of(place.folder, "rank.stopped")] == [9]
    died = {line["rank"]: line["exit_code"] for line in lines_of(place.folder, "rank.died")}
    assert died == {rank: 7 * (rank == 41) for rank in range(64)}
    (end,) = lines_of(place.folder, "agent.ended")
    seconds = end["mono"] - lines_of(place.folder, "agent.started")[0]["mono"]
    print(f"the agent used {end['cpu_s']} s of CPU in {seconds:.1f} s for 64 ranks")
    assert end["cpu_s"] < 0.5 * seconds

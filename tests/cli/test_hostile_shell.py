"""Odd surroundings and odd output: the command is run as without us, and what is reported can be read."""

import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.cli.conftest import DIAGNOSE, ours

RUN = ("run", "--root", "runs", "--")


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_standard_streams_take_no_file_of_ours(place, closed):
    shut = " ".join(f"{fd}>&-" for fd in closed)
    words = " ".join([*DIAGNOSE, *RUN, "sh", "-c", "'echo out; echo err >&2; exit 3'"])
    ended = subprocess.run(
        ["sh", "-c", f"exec {words} {shut}"],
        cwd=place.path,
        env=place.environ,
        capture_output=True,
        timeout=120,
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


@pytest.mark.parametrize("odd", ["missing", "größe, with space"])
def test_odd_temporary_folders_make_no_difference(place, odd):
    folder = place.temporary / odd
    if odd != "missing":
        folder.mkdir()
    place.environ["TMPDIR"] = str(folder)
    ended = place.run(*RUN, *place.program("import os; print(os.environ['TMPDIR'])\nraise SystemExit(3)"))
    assert (ended.returncode, ended.stdout.decode().strip()) == (3, str(folder))
    assert place.record()["ranks"][0]["exit_code"] == 3


def test_in_a_temporary_folder_with_a_long_path_ranks_can_still_be_asked(place):
    """A unix socket's path ends at 107 bytes."""
    folder = place.temporary / ("l" * 100)
    folder.mkdir()
    place.environ["TMPDIR"] = str(folder)
    spool = place.run(*RUN, "sh", "-c", "echo $DIAGNOSE_SPOOL").stdout.decode().strip()
    assert len(f"{spool}/sock/r9999-4194304.sock") <= 107
    assert not Path(spool).exists()


def test_a_poor_environment_changes_nothing(place):
    command = place.program(
        "import resource, sys\nprint(sys.flags.isolated, len(__import__('os').environ) > 0)"
    )
    place.environ = {"PATH": place.environ["PATH"], "PYTHONPATH": place.environ.get("PYTHONPATH", "")}
    place.environ["TMPDIR"] = str(place.temporary)
    words = ["prlimit", "--nofile=64", *DIAGNOSE, *RUN, command[0], "-I", "-S", *command[1:]]
    if not shutil.which("prlimit"):
        pytest.skip("prlimit is not installed")
    ended = subprocess.run(words, cwd=place.path, env=place.environ, capture_output=True, timeout=120)
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
import os, subprocess, sys, time
text = "import os, time\\ntime.sleep(0.1)\\nwhile not os.path.exists('go'): time.sleep(0.2)\\n"
text += "raise SystemExit(7 * (os.environ['RANK'] == '41'))"
jobs = []
for rank in range(64):
    mine = {**os.environ, 'RANK': str(rank), 'WORLD_SIZE': '64'}
    jobs.append(subprocess.Popen([sys.executable, '-c', text], env=mine))
for job in jobs:
    os.waitid(os.P_PID, job.pid, os.WEXITED | os.WNOWAIT)
while not os.path.exists('told'):  # an exit code can be read only until its parent has asked for it
    time.sleep(0.2)
raise SystemExit(max(job.wait() for job in jobs))
"""


def lines_of(run: Path, kind: str) -> list[dict[str, object]]:
    raw = b"".join(path.read_bytes() for path in sorted(run.glob("attempts/1/events/agent-*.jsonl")))
    return [line for line in map(msgspec.json.decode, raw.splitlines()) if line["event"] == kind]


def test_the_agent_keeps_up_with_64_ranks(place, wait):
    before_s = children_s()
    process = place.start(*RUN, *place.program(LAUNCHER))
    wait(lambda: place.root.is_dir() and list(place.root.iterdir()))
    wait(lambda: len(lines_of(place.folder, "rank.found")) == 64)
    victim = next(line["pid"] for line in lines_of(place.folder, "rank.found") if line["rank"] == 9)
    os.kill(victim, signal.SIGSTOP)
    wait(lambda: lines_of(place.folder, "rank.stopped"))
    os.kill(victim, signal.SIGCONT)
    (place.path / "go").touch()
    wait(lambda: len(lines_of(place.folder, "rank.died")) == 64)
    (place.path / "told").touch()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 7
    assert b"CRASH" in err and b"rank 41" in err
    assert [line["rank"] for line in lines_of(place.folder, "rank.stopped")] == [9]
    died = {line["rank"]: line["exit_code"] for line in lines_of(place.folder, "rank.died")}
    assert died == {rank: 7 * (rank == 41) for rank in range(64)}
    (end,) = lines_of(place.folder, "agent.ended")
    seconds = end["mono"] - lines_of(place.folder, "agent.started")[0]["mono"]
    all_s = children_s() - before_s
    print(f"the agent used {end['cpu_s']} s of CPU in {seconds:.1f} s; all did {all_s:.1f} s")
    assert end["cpu_s"] < 0.3 * all_s


def children_s() -> float:
    """CPU of all that this process has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

"""What is brought from a job that was started without us: logs that are its own, dumps that are fresh."""

import os
import signal
import subprocess
import sys
import time

import pytest

from probes import dumps, procfs
from probes.attaching import around, logs, reach
from probes.watching.rank import Rank
from probes.watching.table import Table

from .conftest import wait_for

PROGRAM = "import time; print('HF_TOKEN=hf_abcdefghijklmnopqrstuv', flush=True); time.sleep(60)"


def rank(pid, number=0, **environ):
    one = Rank(number, "1", pid, procfs.stat(pid).start_ticks, "environment", number, 1)
    one.environ = environ
    return one


@pytest.fixture
def start():
    started = []

    def run(program, **given):
        started.append(subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL, **given))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def printed(path, size=1):
    wait_for(lambda: path.stat().st_size >= size)


def copied(start, tmp_path, log, *mode, since=None):
    """The events of a copy, and what was copied, of a process that prints into `log`."""
    run, said = tmp_path / "run", []
    for name in mode:
        with log.open(name) as file:
            before = log.stat().st_size
            process = start(PROGRAM, stdout=file, stderr=file)
            printed(log, before + 1)
    begun = procfs.started_at(procfs.stat(process.pid).start_ticks) if since is None else since
    logs.copy([rank(process.pid, 3)], str(run), begun, lambda kind, rank, **data: said.append((kind, data)))
    files = {path.name: path.read_text() for path in run.rglob("*.log")}
    return said, files


def test_a_ranks_log_is_copied_without_its_secrets(start, tmp_path):
    said, files = copied(start, tmp_path, tmp_path / "out.txt", "wb")
    assert [kind for kind, _ in said] == ["log.copied"]
    assert files == {"rank-00003.log": "HF_TOKEN=<redacted>\n"}


def test_of_a_long_log_the_last_whole_lines_are_copied(start, tmp_path):
    log = tmp_path / "out.txt"
    log.write_text("".join(f"line {n:06d}\n" for n in range(50_000)))
    _, files = copied(start, tmp_path, log, "ab")
    lines = files["rank-00003.log"].splitlines()
    assert len(files["rank-00003.log"]) <= 256 << 10
    assert lines[0].startswith("line 0") and len(lines[0]) == 11 and lines[-2] == "line 049999"


def test_a_log_that_may_hold_an_earlier_jobs_words_is_left_out(start, tmp_path):
    log = tmp_path / "out.txt"
    log.write_text("Traceback (most recent call last):\n")
    said, files = copied(start, tmp_path, log, "ab", since=time.time() + 60)
    assert [(kind, "earlier" in data["reason"]) for kind, data in said] == [("log.refused", True)]
    assert files == {}


def test_ranks_that_share_a_log_leave_it_once_as_the_launchers(start, tmp_path):
    log, said = tmp_path / "out.txt", []
    with log.open("wb") as file:
        ranks = [rank(start(PROGRAM, stdout=file, stderr=file).pid, number) for number in (0, 1)]
    printed(log)
    logs.copy(ranks, str(tmp_path / "run"), time.time(), lambda kind, rank, **data: said.append(kind))
    assert [path.name for path in (tmp_path / "run").rglob("*.log")] == ["launcher.log"]
    assert said == ["log.copied"]


def test_output_that_goes_to_a_pipe_is_named_as_that(start):
    assert logs.open_log(start(PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).pid) == (
        "",
        "its output goes to a pipe",
    )


def test_a_dump_that_is_older_than_the_job_is_nobodys(tmp_path):
    one = rank(os.getpid(), 2, TORCH_FR_DUMP_TEMP_FILE=str(tmp_path / "dump_"))
    (tmp_path / "dump_2").write_bytes(b"new")
    assert dumps.take(one, time.time() - 60).body == b"new"
    os.utime(tmp_path / "dump_2", (0, 0))
    assert dumps.take(one, time.time() - 60) is None


def test_a_recorder_is_asked_through_its_pipe_and_one_that_nobody_reads_is_left_alone(tmp_path):
    stem = str(tmp_path / "pipe_")
    os.mkfifo(f"{stem}0.pipe")
    os.mkfifo(f"{stem}1.pipe")
    reader = os.open(f"{stem}0.pipe", os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "dump_0").write_bytes(b"at once")
    os.utime(tmp_path / "dump_0", (time.time() + 60, time.time() + 60))
    told = {"TORCH_NCCL_DEBUG_INFO_PIPE_FILE": stem, "TORCH_FR_DUMP_TEMP_FILE": str(tmp_path / "dump_")}
    told = dumps.ask([rank(os.getpid(), number, **told) for number in (0, 1)], 0.5)
    assert os.read(reader, 9) == b"1"
    os.close(reader)
    assert told == {0: "no whole dump within 0.5 s", 1: "dump pipe: No such device or address"}


HANDLED = "import signal, sys, time\n{}\nprint('up', flush=True)\ntime.sleep(60)"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import faulthandler; faulthandler.register(signal.SIGUSR1)", signal.SIGUSR1),
        ("signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))", 0),
        ("# faulthandler.register(signal.SIGUSR1)", 0),
    ],
    ids=["registered", "another handler", "only said"],
)
def test_a_signal_is_known_to_print_stacks_only_where_the_program_says_so_and_has_a_handler(
    start, tmp_path, text, found
):
    program, log = tmp_path / "train.py", tmp_path / "out.txt"
    program.write_text(HANDLED.format(text))
    with log.open("wb") as file:
        one = rank(start(f"exec({program.read_text()!r})", stdout=file, stderr=file).pid)
    printed(log)
    reach.find_signal(one, [str(program)])
    assert one.stack_signal == found
    assert one.faults("") == (str(log) if found else "attempts/1/faults/rank-00000.txt")


def test_what_stands_around_a_process_is_described(start):
    process = start("import subprocess, socket; s = socket.create_server(('127.0.0.1', 0));\n" + PROGRAM)
    seen = wait_for(lambda: (told := around.describe(process.pid, Table(""))).get("listening") and told)
    assert seen["num_fds"] >= 3 and "connected" not in seen

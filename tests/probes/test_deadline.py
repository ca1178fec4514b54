"""Nothing that hangs can hang the one who asked."""

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import deadline, procfs
from tests.waits import waited

from .conftest import wait_for


def test_a_hung_child_is_killed_with_what_it_started_and_the_others_still_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = waited(monkeypatch, deadline)
    hang = ["sh", "-c", "trap '' TERM; sleep 54321 & echo $!; wait"]
    got = deadline.run_many({"hang": hang, "echo": ["echo", "ok"], "none": ["/no/such/program"]}, 2.0)
    assert clock.seconds == pytest.approx(2.0), "no longer than until its deadline"
    assert got["hang"].timed_out and got["echo"].stdout == b"ok\n" and got["none"].code == 127
    wait_for(lambda: not procfs.is_alive(int(got["hang"].stdout), 0))


def test_a_child_that_closes_its_pipes_and_hangs_is_killed_too() -> None:
    program = "import os, time\nos.close(1); os.close(2); time.sleep(99)"
    assert deadline.run([sys.executable, "-c", program], 0.5).timed_out


def test_a_finished_command_is_not_held_up_by_a_grandchild_that_keeps_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, seen = waited(monkeypatch, deadline), []
    real = subprocess.Popen.poll

    def poll(process: subprocess.Popen[bytes]) -> int | None:
        if (code := real(process)) is not None:
            seen.append(clock.seconds)
        return code

    monkeypatch.setattr(subprocess.Popen, "poll", poll)
    outcome = deadline.run(["sh", "-c", "sleep 60 & echo done"], 30.0)
    assert outcome.code == 0 and outcome.stdout == b"done\n"
    assert clock.seconds == seen[0] < 30, "it was seen to end before its deadline, and then not waited for"


def test_call_answers_what_the_function_returns_and_none_where_it_raises_or_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang() -> bytes:
        time.sleep(60)
        return b"never"

    def fail() -> bytes:
        os.close(2)
        raise RuntimeError("no")

    assert deadline.call(lambda: b"x" * 300_000, 30.0) == b"x" * 300_000
    assert deadline.call(lambda: b"", 30.0) == b""
    assert deadline.call(hang, 0.3) is None
    assert deadline.call(fail, 30.0) is None
    clock = waited(monkeypatch, deadline)
    many = deadline.call_many({"a": hang, "b": lambda: b"b", "c": hang, "d": fail}, 1.0)
    assert many == {"a": None, "b": b"b", "c": None, "d": None}
    assert clock.seconds == pytest.approx(1.0), "one deadline for both that hang"


NAMES = st.binary(max_size=40)


@given(NAMES, st.integers(1, 2**22), st.integers(0, 2**40))
def test_any_process_name_leaves_the_other_fields_of_stat_in_place(name: bytes, pid: int, ticks: int) -> None:
    fields = b" ".join(b"%d" % n for n in [1, 7, 7, 0, -1, *[0] * 5, 250, 50, 0, 0, 20, 0, 3, 0, ticks, 0, 2])
    stat = procfs.parse_stat(b"%d (%s) R " % (pid, name) + fields + b"\n")
    assert stat is not None
    assert (stat.pid, stat.state, stat.ppid, stat.start_ticks, stat.num_threads) == (pid, "R", 1, ticks, 3)


@given(st.binary(max_size=300))
def test_no_bytes_make_a_parser_raise(raw: bytes) -> None:
    procfs.parse_stat(raw)
    procfs.parse_environ(raw)
    procfs.parse_caught(b"SigCgt:" + raw)


def test_the_readers_agree_with_what_this_process_knows_of_itself() -> None:
    me = procfs.stat(os.getpid())
    assert me is not None and me.ppid == os.getppid() and me.rss > 0
    assert procfs.is_alive(me.pid, me.start_ticks) and not procfs.is_alive(me.pid, me.start_ticks + 1)
    assert procfs.environ(me.pid).get("PATH") and me.pid in [one.pid for one in procfs.threads(me.pid)]
    assert procfs.catches(me.pid, 2) and not procfs.catches(me.pid, 12)
    assert (
        procfs.stat(2**22 + 1) is None
        and procfs.cmdline(2**22 + 1) == []
        and procfs.fd_links(2**22 + 1) == {}
    )

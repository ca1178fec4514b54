"""Dumps that ranks write themselves: through their pipe, and where their own prefix says."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes import dumps, procfs
from probes.watching import left, look
from probes.watching.rank import Rank
from tests.waits import handed

# As `DumpPipe` of ProcessGroupNCCL does it: removes, makes and opens its fifo, then polls it; the file is not
# written at once.
NCCL = """
import errno, os, pickle, sys, time
stem, prefix, rank, half_s = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
path = f"{stem}{rank}.pipe"
try:
    os.unlink(path)
except FileNotFoundError:
    pass
os.mkfifo(path, 0o666)
fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
print("up", flush=True)
while True:
    try:
        asked = len(os.read(fd, 128)) > 0
    except BlockingIOError:
        asked = False
    if asked:
        body = pickle.dumps({"version": "2.9", "pg_config": {}, "entries": []}, protocol=2)
        with open(prefix + rank, "wb") as file:
            file.write(body[:20])
            file.flush()
            time.sleep(half_s)
            file.write(body[20:])
    time.sleep(0.2)
"""

Start = Callable[..., Rank]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that plays the C++ side; as a rank."""
    started: list[subprocess.Popen[bytes]] = []

    def run(number: int, half_s: float = 0.3) -> Rank:
        stem, prefix = str(tmp_path / "pipe-"), str(tmp_path / "dump_")
        argv = [sys.executable, "-c", NCCL, stem, prefix, str(number), str(half_s)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout and process.stdout.readline() == b"up\n"
        return rank(process.pid, number, stem, prefix)

    yield run
    for process in started:
        process.kill()
        process.communicate()


def rank(pid: int, number: int, stem: str, prefix: str) -> Rank:
    told = {dumps.PIPE: stem, dumps.FILES[0]: prefix}
    now = procfs.stat(pid)
    return Rank(number, "1", pid, now.start_ticks if now else 0, "hook", number, 2, environ=told)


def test_a_byte_into_the_pipe_brings_a_whole_dump(start: Start, tmp_path: Path) -> None:
    (tmp_path / "dump_0").write_bytes(b"\x80\x02}.")  # an old one is nobody's answer
    os.utime(tmp_path / "dump_0", (1e9, 1e9))
    told = dumps.ask([start(0), start(1)], 60.0)
    bodies = [one.body for one in told.values() if isinstance(one, dumps.Dump)]
    assert [pickle.loads(body)["version"] for body in bodies] == ["2.9", "2.9"]


def test_a_look_takes_through_the_pipe_what_no_control_server_gives(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "PIPE_S", 60.0)
    said: list[tuple[str, dict[str, object]]] = []
    look.Look([start(0)], str(tmp_path), "stalled", lambda k, r, **data: said.append((k, data))).take(0.3)
    dumped = [data for kind, data in said if kind == "flight.dumped"]
    assert [(data["via"], data["scan"]) for data in dumped] == [("pipe", 1), ("pipe", 2)]
    assert pickle.loads((tmp_path / str(dumped[0]["path"])).read_bytes())["version"] == "2.9"
    assert str(dumped[0]["path"]).endswith("/rank-00000.pickle")


def test_what_is_no_fifo_of_the_ranks_own_is_never_written_to(tmp_path: Path) -> None:
    own, other = tmp_path / "own-0.pipe", tmp_path / "real"
    own.write_bytes(b"")
    os.mkfifo(other)
    (tmp_path / "link-0.pipe").symlink_to(other)
    reader = os.open(other, os.O_RDONLY | os.O_NONBLOCK)
    reasons = []
    for stem in ("own-", "link-", "none-"):
        asked = rank(os.getpid(), 0, str(tmp_path / stem), str(tmp_path / "dump_"))
        reasons += [dumps.ask([asked], 0.2)[0]]
    assert reasons == ["its dump pipe is no fifo"] * 2 + ["it has made no dump pipe"]
    assert own.read_bytes() == b"" and os.read(reader, 9) == b""
    assert not (tmp_path / "none-0.pipe").exists()
    os.close(reader)


def test_a_full_pipe_that_nobody_empties_does_not_hold_us_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(path := str(tmp_path / "pipe-0.pipe"))
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(fd, b"x" * 4096)
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits for an answer"))
    told = dumps.ask([rank(os.getpid(), 0, str(tmp_path / "pipe-"), str(tmp_path / "d"))], 60.0)
    assert told == {0: "dump pipe: Resource temporarily unavailable"}
    os.close(fd)


def test_the_watchdogs_dump_at_the_users_own_prefix_is_copied_and_taken_again_when_it_has_grown(
    tmp_path: Path,
) -> None:
    spool, said = tmp_path / "spool", list[dict[str, object]]()
    (spool / "attempts/1").mkdir(parents=True)
    kept = left.Left(str(spool), lambda one, kind, **data: said.append(data))
    process = subprocess.Popen(["sleep", "60"])
    kept.note(rank(process.pid, 3, "", str(tmp_path / "dump_")))
    (tmp_path / "dump_3").write_bytes(b"\x80\x02}")
    os.utime(tmp_path / "dump_3", (1e9, 1e9))
    kept.take()
    assert said == [], "older than the rank: of an earlier job"
    (tmp_path / "dump_3").write_bytes(b"\x80\x02}q")
    kept.take()
    process.kill()
    process.wait()
    (tmp_path / "dump_3").write_bytes(b"\x80\x02}q\x00.")
    kept.take()
    kept.take()
    assert [data["whole"] for data in said] == [False, True]
    assert (spool / str(said[1]["path"])).read_bytes() == b"\x80\x02}q\x00."


def test_what_lies_in_our_own_folder_is_left_to_the_collector(tmp_path: Path) -> None:
    said: list[dict[str, object]] = []
    kept = left.Left(str(tmp_path), lambda one, kind, **data: said.append(data))
    kept.note(rank(os.getpid(), 3, "", str(tmp_path / "dump_")))
    (tmp_path / "dump_3").write_bytes(b"\x80\x02}.")
    kept.take()
    assert said == []


def test_a_folder_that_does_not_answer_costs_its_deadline_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left, "LIMIT_S", 0.3)
    monkeypatch.setattr(dumps, "newest", lambda *_: time.sleep(60))
    said: list[tuple[str, dict[str, object]]] = []
    kept = left.Left(str(tmp_path / "spool"), lambda one, kind, **data: said.append((kind, data)))
    kept.note(rank(os.getpid(), 3, "", str(tmp_path / "dump_")))
    limits = handed(monkeypatch)
    for _ in range(5):
        kept.take()
    assert limits == [0.3]
    [(kind, data)] = said
    assert kind == "flight.refused" and "nothing answers" in str(data["reason"])

"""The ladder below the stacks: workers, system calls and the interpreter's lock, on real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes import layout, procfs, stacks
from probes.rank_hook.diagnose_rank import state
from probes.watching import deeper, look, process, workers
from probes.watching.rank import Rank

from .conftest import wait_for

WORKER = """
import multiprocessing, os, sys, time
def work(path):
    with open(path, "rb") as file:
        file.read()
if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=work, args=(sys.argv[1],)).start()
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine gives stacks late."""
    for module in (look, deeper):
        monkeypatch.setattr(module, "STACK_S", 60.0)


@pytest.fixture
def start() -> Iterator[object]:
    """Starts `python -c`; ends it and what it started."""
    started: list[subprocess.Popen[bytes]] = []

    def run(code: str, *args: str) -> int:
        argv = [sys.executable, "-c", code, *args]
        started.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True))
        return started[-1].pid

    yield run
    for one in started:
        os.killpg(one.pid, 9)
        one.wait()


def threads_of(pid: int) -> stacks.Threads:
    found = wait_for(lambda: not isinstance(got := stacks.from_outside({0: pid}, 5.0)[0], str) and got)
    assert isinstance(found, list)
    return found


def taken(pid: int, folder, **more):
    """What one look at a process says."""
    now = procfs.stat(pid)
    one = Rank(1, "1", pid, now.start_ticks if now else 0, "hook", 1, 2, **more)
    said: list[tuple[str, dict[str, object]]] = []
    look.Look([one], str(folder), "stalled", lambda kind, rank, **data: said.append((kind, data))).take(0.3)
    return said


def test_what_a_blocked_process_reads_from_is_named(start, tmp_path):
    os.mkfifo(tmp_path / "feed")
    pid = start(
        "import os, sys; fd = os.open(sys.argv[1], os.O_RDWR); os.read(fd, 1)", str(tmp_path / "feed")
    )
    found = wait_for(lambda: (d := process.describe(pid)) and d["file"] and d)
    assert found["file"] == str(tmp_path / "feed") and found["state"] == "S"
    assert found["main_cpu_s"] <= found["cpu_s"] and found["io_bytes"] > 0


def test_the_main_threads_clock_and_bytes_are_its_own(start):
    code = """
import threading, time
def busy():
    while True:
        open("/dev/null", "wb").write(b"x" * 10000)
threading.Thread(target=busy, daemon=True).start()
time.sleep(99)"""
    pid = start(code)
    wait_for(lambda: (s := procfs.stat(pid)) and s.num_threads == 2)
    first = process.describe(pid)
    wait_for(lambda: (s := procfs.stat(pid)) and s.cpu_s > first["cpu_s"] + 0.2)
    last = process.describe(pid)
    assert last["main_cpu_s"] == pytest.approx(first["main_cpu_s"], abs=0.05)
    assert last["io_bytes"] - first["io_bytes"] < 1000
    assert last["total_io_bytes"] - first["total_io_bytes"] > 100_000


def test_a_process_that_has_gone_is_described_by_nothing():
    assert process.describe(2**22 + 1) is None


def test_the_workers_of_a_rank_that_waits_for_them_are_looked_at(start, tmp_path):
    os.mkfifo(tmp_path / "feed")
    code = WORKER.replace("if __name__", "feed = None\nif __name__") + "    multiprocessing.Queue().get()\n"
    pid = start(code, str(tmp_path / "feed"))
    worker = wait_for(lambda: workers.below([pid])[pid])[0]
    wait_for(lambda: workers.are_awaited(threads_of(pid)))
    wait_for(lambda: any(frame["name"] == "work" for one in threads_of(worker) for frame in one["frames"]))
    said = taken(pid, tmp_path)
    dumped = [data for kind, data in said if kind == "worker.stack_dumped"]
    assert [data["scan"] for data in dumped] == [1, 2] and len({data["worker"] for data in dumped}) == 1
    text = (tmp_path / str(dumped[0]["path"])).read_text()
    assert '"worker": true' in text and '"work"' in text
    states = [data for kind, data in said if kind == "worker.dumped"]
    assert [data["state"] for data in states] == ["S", "S"]


def test_a_rank_that_waits_for_no_process_has_its_children_left_alone(start, tmp_path):
    os.mkfifo(tmp_path / "feed")
    pid = start(WORKER + "    time.sleep(99)\n", str(tmp_path / "feed"))
    wait_for(lambda: workers.below([pid])[pid])
    assert not [kind for kind, _ in taken(pid, tmp_path) if kind.startswith("worker")]


def test_shells_and_helpers_are_no_workers(start):
    code = (
        "import subprocess, time, sys; subprocess.Popen(['sleep', '99']);"
        "helper = 'from multiprocessing.resource_tracker import main; main(0)';"
        "subprocess.Popen([sys.executable, '-c', helper]); time.sleep(99)"
    )
    pid = start(code)

    def begun() -> list[list[str]]:
        """The words of both children, once they are no longer their parent's."""
        below = [p for p in procfs.pids() if (s := procfs.stat(p)) is not None and s.ppid == pid]
        told = [words for p in below if (words := procfs.cmdline(p)) and code not in words]
        return told if len(told) == 2 else []

    wait_for(begun)
    assert workers.below([pid]) == {pid: []}


SERVED = """
import sys, ctypes, time
import torch.distributed as dist
from torch._C._distributed_c10d import _WorkerServer
server = _WorkerServer(sys.argv[1])
{}
"""


@pytest.mark.torch
@pytest.mark.parametrize(
    ("code", "held"),
    [
        ("while True:\n    time.time()\n    time.time()\n    time.time()", []),
        ("ctypes.PyDLL(None).sleep(99)", [True]),
        ("time.sleep(99)", []),
    ],
    ids=["a Python loop moves on, and is not asked", "a C call keeps it", "a sleeper is not asked"],
)
def test_the_interpreter_is_asked_for_last_and_only_where_it_may_be_held(start, tmp_path, code, held):
    socket = str(tmp_path / "s")
    pid = start(SERVED.format(code), socket)
    wait_for(tmp_path.joinpath("s").exists, 60.0)
    wait_for(lambda: (p := deeper.place(threads_of(pid))) and len(p.frames) == 1 and p.frames[0][1] > 5)
    page = Path(layout.state_path(str(tmp_path), "1", 1))
    page.parent.mkdir(parents=True)
    state.Page(str(page), pid, 7).keep()  # it says that the rank is not on its way out
    said = taken(pid, tmp_path, socket=socket)
    asked = [data["held"] for kind, data in said if kind == "interpreter.asked"]
    assert asked == held
    assert said[-1][0] == "evidence.taken"

"""What real processes wait for, and who is named at the other end."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from probes import procfs
from probes.connections import Tables
from probes.watching import blocked
from probes.watching.behind import Behind, locked

from .conftest import wait_for

Start = Callable[..., subprocess.Popen[bytes]]
ME = {"pid": os.getpid(), "rank": 3}


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str, **more: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(argv, start_new_session=True, **more))
        return started[-1]

    yield begin
    for one in started:
        os.killpg(one.pid, 9)
        one.wait()
        for file in (one.stdin, one.stdout):
            if file:
                file.close()


def waits(pid: int, does: str) -> list[dict[str, Any]]:
    """What it waits for, once it does that."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = Behind({os.getpid(): 3}, Tables()).of(pid)
        if found and found[0]["does"] == does:
            return found
        time.sleep(0.02)
    pytest.fail(f"it is in {blocked.call(pid)}")


def holder(told: dict[str, Any]) -> dict[str, Any]:
    [one] = told["holders"]
    return {key: one[key] for key in one if key != "words"}


def test_a_pipe_is_told_with_the_process_that_may_write_to_it(start: Start) -> None:
    cat = start("cat", stdin=subprocess.PIPE)
    [told] = waits(cat.pid, "read")
    assert told["fd"] == 0 and told["name"].startswith("pipe:[") and holder(told) == ME


def test_a_child_is_told_with_what_it_waits_for_itself(start: Start) -> None:
    shell = start("sh", "-c", "yes; true", stdout=subprocess.PIPE)
    [told] = waits(shell.pid, "child")
    assert told["holders"][0]["words"] == "yes" and told["cpu_s"] >= 0
    [inner] = wait_for(lambda: waits(shell.pid, "child")[0]["behind"])
    assert inner["does"] == "write" and holder(inner) == ME  # nobody reads what fills the pipe


def test_a_child_whose_output_is_read_comes_with_what_it_used(start: Start) -> None:
    """As `subprocess.run(capture_output=True)` waits for a compiler."""
    runs = "import subprocess, sys; subprocess.run(sys.argv[1:], capture_output=True)"
    parent = start(sys.executable, "-c", runs, sys.executable, "-c", "while True: pass")
    first = waits(parent.pid, "read")[0]
    wait_for(lambda: waits(parent.pid, "read")[0]["cpu_s"] > first["cpu_s"] + 0.1)
    [child] = {end["holders"][0]["pid"] for end in waits(parent.pid, "read")}
    now = procfs.stat(child)
    assert now and now.ppid == parent.pid


def test_a_file_lock_is_told_with_its_holder_and_the_holder_with_its_file(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "a.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        asking = start("flock", str(path), "true")
        [told] = waits(asking.pid, "lock")
        assert told["name"] == str(path) and holder(told) == ME
        assert locked(os.getpid()) == [str(path)] and locked(asking.pid) == []


def test_a_peer_on_this_host_is_told_with_its_address(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reading = start("bash", "-c", f"exec cat < /dev/tcp/127.0.0.1/{port}")
        peer, _ = server.accept()
        with peer:
            [told] = waits(reading.pid, "read")
            assert told["name"] == f"127.0.0.1:{port}" and holder(told) == ME


def test_a_named_pipe_that_nobody_else_opens_is_told_by_its_path(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "feed")
    [told] = waits(start("cat", str(tmp_path / "feed")).pid, "open")
    assert told == {"does": "open", "name": str(tmp_path / "feed"), "pipe": True, "holders": []}


def test_a_process_that_is_gone_or_waits_for_time_alone_has_nothing_behind_it(start: Start) -> None:
    assert Behind({}, Tables()).of(2**22 + 1) == [] and locked(2**22 + 1) == []
    assert Behind({}, Tables()).of(start("sleep", "60").pid) == []

"""The RAS probe against a real socket that plays recorded answers."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from diagnose import bundle
from diagnose.pipeline import parse
from probes import ras
from probes.ras import ask

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/sources/nccl_ras/samples"
JSON = (SAMPLES / "ncclras-2.28.9-missing.json").read_bytes()
TEXT = (SAMPLES / "ncclras-2.24-dead.txt").read_bytes()
Play = Callable[[socket.socket], None]


@contextmanager
def service(play: Play) -> Iterator[str]:
    """A listening socket that serves each caller with `play`; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller, suppress(OSError):
                        caller.settimeout(60)
                        play(caller)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(60)


def nccl(knows_json: bool, asked: list[str] | None = None) -> Play:
    """The service as NCCL has it: commands by line, the connection is closed after the status."""

    def play(caller: socket.socket) -> None:
        form = "text"
        for line in caller.makefile("r"):
            command = line.strip().lower()
            (asked if asked is not None else []).append(command)
            if command.startswith("client protocol "):
                caller.sendall(b"SERVER PROTOCOL 2\n")
            elif command.startswith("timeout "):
                caller.sendall(b"OK\n")
            elif command == "set format json" and knows_json:
                form = "json"
                caller.sendall(b"OK\n")
            elif command == "status":
                body = JSON if form == "json" else TEXT
                for start in range(0, len(body), 100):  # in pieces, as over a network
                    caller.sendall(body[start : start + 100])
                return
            else:
                caller.sendall(f"ERROR: Unknown command {command}\n".encode())

    return play


@pytest.mark.parametrize(("knows_json", "body"), [(True, JSON), (False, TEXT)])
def test_json_is_asked_for_and_text_is_taken_where_it_is_not_known(knows_json: bool, body: bytes) -> None:
    asked: list[str] = []
    with service(nccl(knows_json, asked)) as address:
        answer = ask(address, 60.0)
    assert (answer.error, answer.body) == ("", body)
    assert "verbose status" not in asked


@pytest.fixture
def lefts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each step of a query may take at most, in seconds."""
    given: list[float] = []
    real = ras._Line.left

    def left(line: ras._Line) -> float:
        given.append(real(line))
        return given[-1]

    monkeypatch.setattr(ras._Line, "left", left)
    return given


def test_a_service_that_never_answers_is_given_up_at_the_deadline(lefts: list[float]) -> None:
    with service(lambda caller: caller.makefile("r").read()) as address:  # as long as somebody asks
        answer = ask(address, 0.5)
    assert "timed out" in answer.error
    assert lefts == sorted(lefts, reverse=True) and 0 < lefts[0] <= 0.5, "what those before it left over"


def test_a_service_that_drips_is_given_up_at_the_same_deadline(lefts: list[float]) -> None:
    def drip(caller: socket.socket) -> None:
        while True:  # as long as somebody hears it
            caller.sendall(b".")
            time.sleep(0.05)

    with service(drip) as address:
        answer = ask(address, 0.5)
    assert answer.error and lefts == sorted(lefts, reverse=True) and 0 < lefts[0] <= 0.5


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100_000])
def test_what_is_no_ras_service_is_refused(said: bytes) -> None:
    with service(lambda caller: caller.sendall(said)) as address:
        answer = ask(address, 60.0)
    assert answer.error and not answer.body


def test_nobody_there_is_one_line() -> None:
    with socket.socket() as held:  # nobody else gets its port, and nobody listens
        held.bind(("127.0.0.1", 0))
        assert "refused" in ask(f"127.0.0.1:{held.getsockname()[1]}", 60.0).error


def test_the_program_leaves_an_answer_that_the_reader_knows(tmp_path: Path) -> None:
    with service(nccl(knows_json=True)) as address:
        done = subprocess.run(
            [sys.executable, "-m", "probes.ras", "--out", str(tmp_path / "ras.txt")],
            env={**os.environ, "PYTHONPATH": str(ROOT), "NCCL_RAS_ADDR": address},
            capture_output=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    [line] = (done.stdout + done.stderr).splitlines()
    assert json.loads(line)["event"] == "ras.dumped"
    events, recognised, _ = parse(bundle.members(str(tmp_path)))
    assert recognised == ["ras.txt"]
    assert [e.data["pid"] for e in events if e.kind == "ras.process_lost"] == [10018]

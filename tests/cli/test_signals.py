"""However `diagnose run` is ended: the command gets the signal, and record and verdict are there."""

import os
import pty
import signal
import subprocess
import time
from contextlib import suppress

import msgspec
import pytest

from tests.cli.conftest import DIAGNOSE

RUN = ("run", "--root", "runs", "--")
OBEYS = """
import os, signal, sys, time
def end(number, frame):
    os.write(1, b'got %d\\n' % number)  # a print may meet the one that it interrupts
    sys.exit(5)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, end)
os.write(1, b'ready\\n')
time.sleep(60)
"""
IGNORES = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen(['sleep', '300'])
print('ready', flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_passed_on_once_and_the_record_is_written(place, name):
    process = place.start(*RUN, *place.program(OBEYS))
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.Signals[name])
    out, err = process.communicate(timeout=120)
    assert process.returncode == 5
    assert out.decode() == f"got {signal.Signals[name].value}\n"
    assert place.record()["exit_path"] == "interrupted"
    assert (place.folder / "verdict.json").is_file()
    assert place.processes() == []
    assert b"evidence, record and verdict" in err


def test_a_second_signal_ends_what_ignores_the_first(place):
    process = place.start(*RUN, *place.program(IGNORES))
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGKILL
    assert place.record()["exit_path"] == "interrupted"
    assert place.processes() == []


def test_after_the_parent_was_killed_the_next_reader_builds_verdict_and_record(place):
    process = place.start(*RUN, *place.program(IGNORES), stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    shown = place.run("show", "--root", "runs", "--format", "json", "job")
    verdict = msgspec.json.decode(shown.stdout)
    assert shown.returncode == (1 if verdict["causes"] else 3)
    record = place.record()
    assert record["exit_path"] == "lost" and not record["end_marker"]
    manifest = msgspec.json.decode((place.folder / "manifest.json").read_bytes())
    assert manifest["state"] == "lost" and manifest["transitions"][-1]["reason"]
    kept = msgspec.json.decode((place.folder / "verdict.json").read_bytes())
    assert verdict | {"sorting": None} == kept, "what show sorts, it sorts anew"
    end = time.monotonic() + 60  # the collector leaves its own process a moment after the spool is gone
    while place.processes() and time.monotonic() < end:
        time.sleep(0.05)
    assert place.processes() == []
    assert list(place.temporary.iterdir()) == []


def test_when_all_of_ours_were_killed_the_next_reader_brings_over_the_rest(place, wait):
    process = place.start(*RUN, *place.program(IGNORES), stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"ready\n"
    wait(lambda: (place.folder / "attempts/1/events/agent-000001.jsonl").exists())
    process.kill()  # first: it starts the others again
    for pid in place.processes(b"probes.agent", b"probes.collector", b"diagnose"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    assert place.run("runs", "--root", "runs").returncode == 0
    assert place.record()["exit_path"] == "lost"
    assert place.processes() == []
    assert list(place.temporary.iterdir()) == []


COUNTS = """
import signal, sys, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print('ready', sys.stdin.isatty(), sys.stdout.isatty(), flush=True)
end = time.monotonic() + 30
while not got and time.monotonic() < end:
    time.sleep(0.05)
time.sleep(1)  # for another one
print('interrupts', len(got), flush=True)
sys.exit(7)
"""


def test_ctrl_c_on_a_terminal_reaches_the_command_exactly_once(place):
    words = [*DIAGNOSE, "run", "--root", "runs", "--", *place.program(COUNTS)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place.path)
        os.execve(words[0], words, place.environ)
    shown = b""
    while b"ready True True\r\n" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    with suppress(OSError):  # EIO: everybody has closed it
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert b"interrupts 1\r\n" in shown, shown
    assert place.record()["exit_path"] == "interrupted"

"""`diagnose watch` shows a real run while it runs, and says what it can no longer see."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import msgspec
import pytest

from diagnose import manifest

SLEEPERS = """
import os, subprocess, sys, time
if "RANK" in os.environ:
    print("rank", os.environ["RANK"], "says \\x1b[2Jhello", flush=True)
    time.sleep(60)
ranks = [
    subprocess.Popen([sys.executable, __file__], env={**os.environ, "RANK": str(r), "WORLD_SIZE": "3"})
    for r in range(3)
]
sys.exit(max(one.wait() for one in ranks))
"""


@pytest.fixture
def running(place, wait):
    """Three ranks that sleep, all seen by the agent."""
    process = place.start("run", "--root", "runs", "--name", "mine", "--", *place.program(SLEEPERS))

    def seen():
        text = place.run("watch", "--root", "runs").stdout.decode() if place.root.is_dir() else ""
        return all(re.search(rf"^{rank} +\d+ ", text, re.M) for rank in range(3))

    wait(seen, "the ranks never showed")
    return process


def read(fd, until, seconds=60.0):
    """What comes from a terminal until `until` is in it."""
    data, end = b"", time.monotonic() + seconds
    while not until(data) and time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data += os.read(fd, 65536)
            except OSError:
                break
    assert until(data), data
    return data


def test_a_run_is_shown_once_and_live_and_after_its_end(place, running):
    once = place.run("watch", "--root", "runs", "--once", "mine")
    text = once.stdout.decode()
    assert once.returncode == 0 and once.stderr == b""
    assert text.startswith("run  mine-") and "running 00:" in text and "3 ranks" in text
    assert "\x1b" not in text

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = sorted(place.root.rglob("*"))
    watch = place.start(
        "watch", "--root", "runs", "--interval", "0.3", stdout=theirs, stdin=theirs, start_new_session=True
    )
    shown = read(ours, lambda data: data.count(b"\x1b[J") >= 3)
    watch.send_signal(signal.SIGINT)
    assert watch.wait(60) == 130
    frames = shown.split(b"\x1b[J")
    assert frames[0].count(b"\n") > 4 and b"\x1b[2J" not in shown
    assert re.match(rb"\x1b\[%dA\r" % frames[0].count(b"\n"), frames[1])
    plain = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", frames[0])
    assert all(len(line) < 80 for line in plain.split(b"\r\n"))
    grown = {path for path in set(place.root.rglob("*")) - set(before) if "attempts" not in path.parts}
    assert not grown

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))  # as some automation has it
    ending = place.start(
        "watch", "--root", "runs", "--interval", "0.3", stdout=theirs, stdin=theirs, start_new_session=True
    )
    read(ours, lambda data: b"running 00:" in data)
    running.send_signal(signal.SIGTERM)
    read(ours, lambda data: b"it ended" in data)
    assert ending.wait(60) == 0
    assert running.wait(60) != 0
    after = place.run("watch", "--root", "runs", "mine").stdout.decode()
    assert "it ended" in after and after.count("died by signal 15") == 3
    os.close(ours)
    os.close(theirs)


def test_of_a_run_that_cannot_be_followed_it_says_why(place):
    place.run("run", "--root", "runs", "--name", "mine", "--", "true")
    shown = place.run("watch", "--root", "runs")
    assert shown.returncode == 0 and b"no rank was seen" in shown.stdout and b"it ended" in shown.stdout
    written = msgspec.json.decode((place.folder / "manifest.json").read_bytes())
    manifest.save(place.folder, written | {"state": "running", "node": "elsewhere"})
    assert b"it runs on elsewhere" in place.run("watch", "--root", "runs").stdout
    manifest.save(place.folder, written | {"state": "running", "start_ticks": 1})
    assert b"is gone; this is how it was last seen" in place.run("watch", "--root", "runs").stdout


@pytest.mark.parametrize("words", [("nothing",), (), (".",), ("--interval", "0"), ("job.txt",)])
def test_what_cannot_be_watched_is_told_in_one_line(place, words):
    (place.path / "job.txt").write_text("no run")
    ended = place.run("watch", *words)
    assert ended.returncode == 2 and b"Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith(b"Error: ")

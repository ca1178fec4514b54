"""The two hosts that drills make of network namespaces: joined, named apart, and gone with the program."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diagnose import drilling
from diagnose.ground import Ground, kept
from diagnose.needs import missing, path

PROGRAM = """
import subprocess, sys, time
sys.path.insert(0, sys.argv[1])
import hosts
there = hosts.connect()
for num, inside in enumerate(there):
    peer = hosts.ADDRESSES[1 - num]
    told = "hostname; ip -o route get " + peer
    print(subprocess.run([*inside, "sh", "-c", told], capture_output=True, text=True).stdout, flush=True)
print("made", flush=True)
time.sleep(60)
"""


def test_hosts_are_joined_and_leave_nothing_behind_a_killed_program(tmp_path: Path) -> None:
    if reason := missing("netns"):
        pytest.skip(reason)
    ground = Ground.below(tmp_path)
    work = tmp_path / "job-1"
    work.mkdir()
    words = [sys.executable, "-c", PROGRAM, str(drilling.HERE)]
    process = subprocess.Popen(words, cwd=work, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        told = []
        while (line := process.stdout.readline().strip()) != "made":
            told.append(line)
        assert [line for line in told if line.startswith("worker-")] == ["worker-0", "worker-1"]
        assert len([line for line in told if "dev eth0" in line]) == 2
        assert f"dgd-{process.pid}-" in names()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        assert not kept(ground.top, 60)
        assert f"dgd-{process.pid}-" not in names()
    finally:
        process.kill()
        process.stdout.close()
        kept(ground.top, 60)


def names() -> str:
    env = {**os.environ, "PATH": path()}
    return subprocess.run(["ip", "netns", "list"], env=env, capture_output=True, text=True).stdout

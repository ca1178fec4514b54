"""Helpers beside the job: when one may be asked to end; who must run again to take its SIGTERM."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from diagnose.children import Helper, is_held, of_job
from tests.probes.conftest import wait_for

LATE = """
import os, signal, sys, time
os.chdir(sys.argv[1])
open('asleep', 'w').close()
while not os.path.exists('called'):
    time.sleep(0.01)
signal.signal(signal.SIGTERM, lambda *_: None)
open('awake', 'w').close()
time.sleep(30)
"""


def test_a_helper_listens_once_it_has_a_handler(tmp_path: Path) -> None:
    helper = Helper("collector", [], tmp_path / "errors")
    assert helper.listens() is None
    helper.argv = [sys.executable, "-c", LATE, str(tmp_path)]
    helper.start()
    try:
        wait_for((tmp_path / "asleep").exists)
        before = helper.listens()
        (tmp_path / "called").touch()
        wait_for((tmp_path / "awake").exists)
        assert (before, helper.listens()) in [(False, True), (None, None)]  # None: a sandbox's kernel
    finally:
        assert helper.process is not None
        helper.process.kill()
        helper.process.wait()


def test_a_process_is_held_once_it_is_stopped_and_asked_to_end() -> None:
    process = subprocess.Popen(["sleep", "30"])
    try:
        assert not is_held(process.pid)
        process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{process.pid}/status")
        wait_for(lambda: "(stopped)" in status.read_text())
        is_told = "ShdPnd" in status.read_text()  # a sandbox's kernel may not say what waits
        assert not is_held(process.pid) or not is_told, "it would train on, were it let run"
        process.send_signal(signal.SIGTERM)
        assert is_held(process.pid)
        process.send_signal(signal.SIGCONT)
        assert process.wait(60) == -signal.SIGTERM
        assert not is_held(process.pid)
    finally:
        process.kill()
        process.wait()


def test_a_child_with_an_environment_of_its_own_is_of_the_job_by_its_group() -> None:
    with subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]}, process_group=0) as child:
        try:
            assert child.pid in of_job("nobodys", child.pid)
            assert child.pid not in of_job("nobodys")
        finally:
            child.kill()

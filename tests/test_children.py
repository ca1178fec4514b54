"""Helpers beside the job: when one may be asked to end; who must run again to take its SIGTERM."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from diagnose.children import Helper, is_held

LATE = """
import signal, time
open('asleep', 'w').close()
time.sleep(0.7)
signal.signal(signal.SIGTERM, lambda *_: None)
open('awake', 'w').close()
time.sleep(30)
"""


def test_a_helper_listens_once_it_has_a_handler(tmp_path: Path) -> None:
    helper = Helper("collector", [], tmp_path / "errors")
    assert helper.listens() is None
    program = LATE.replace("'asleep'", f"'{tmp_path}/asleep'").replace("'awake'", f"'{tmp_path}/awake'")
    helper.argv = [sys.executable, "-c", program]
    helper.start()
    try:
        while not (tmp_path / "asleep").exists():
            time.sleep(0.01)
        before = helper.listens()
        while not (tmp_path / "awake").exists():
            time.sleep(0.01)
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
        while "(stopped)" not in (status := Path(f"/proc/{process.pid}/status").read_text()):
            time.sleep(0.01)
        is_told = "ShdPnd" in status  # a sandbox's kernel may not say what waits
        assert not is_held(process.pid) or not is_told, "it would train on, were it let run"
        process.send_signal(signal.SIGTERM)
        assert is_held(process.pid)
        process.send_signal(signal.SIGCONT)
        assert process.wait(10) == -signal.SIGTERM
        assert not is_held(process.pid)
    finally:
        process.kill()
        process.wait()

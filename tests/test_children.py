"""Helpers beside the job: when one may be asked to end."""

import sys
import time
from pathlib import Path

from diagnose.children import Helper

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

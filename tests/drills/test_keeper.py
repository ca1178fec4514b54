"""What a drill does to the machine is undone, whatever ends the drill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diagnose import drilling
from diagnose.ground import Ground, kept

PROGRAM = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import keeper
keeper.undo("test ! -e more || exit 1; rmdir made".replace("more", sys.argv[2]).replace("made", sys.argv[3]))
os.mkdir(sys.argv[3])
print("made", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_is_killed_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    made, more = tmp_path / "made", tmp_path / "more"
    more.touch()
    ground = Ground.below(tmp_path)
    work = tmp_path / "job-1"
    work.mkdir()
    words = [sys.executable, "-c", PROGRAM, str(drilling.HERE), str(more), str(made)]
    process = subprocess.Popen(words, cwd=work, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"made\n"
        assert kept(ground.top, 0) and made.is_dir()
        os.killpg(process.pid, number)
        process.wait(60)
        time.sleep(0.5)
        assert kept(ground.top, 0), "it gives up after a script that failed"
        more.unlink()
        assert not kept(ground.top, 60)
        assert not made.exists()
    finally:
        process.kill()
        process.stdout.close()
        more.unlink(missing_ok=True)
        kept(ground.top, 60)

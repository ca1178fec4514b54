"""What a drill does to the machine is undone, whatever ends the drill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diagnose import drilling, ground
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
    here = Ground.below(tmp_path)
    work = tmp_path / "job-1"
    work.mkdir()
    words = [sys.executable, "-c", PROGRAM, str(drilling.HERE), str(more), str(made)]
    process = subprocess.Popen(words, cwd=work, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"made\n"
        assert kept(here.top, 0) and made.is_dir()
        os.killpg(process.pid, number)
        process.wait(60)
        time.sleep(0.5)
        assert kept(here.top, 0), "it gives up after a script that failed"
        more.unlink()
        assert not kept(here.top, 60)
        assert not made.exists()
    finally:
        process.kill()
        process.stdout.close()
        more.unlink(missing_ok=True)
        kept(here.top, 60)


def test_what_starts_while_the_rest_is_ended_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, late = (
        subprocess.Popen(["sleep", "300"], env={**os.environ, "TMPDIR": str(tmp_path)}) for _ in range(2)
    )
    real, looks = ground.carriers, iter(range(99))
    monkeypatch.setattr(ground, "carriers", lambda top: [first.pid] if next(looks) == 1 else real(top))
    told = ground.sweep(tmp_path, 0)
    assert [first.wait(60), late.wait(60)] == [-signal.SIGKILL] * 2 and len(told) == 2

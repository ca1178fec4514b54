"""The line that says how far a long reading is: on a terminal alone, and gone at the end."""

import os
import pickle
import pty
import select
import subprocess
import sys
import termios
from pathlib import Path

ROOT = Path(__file__).parents[2]
SLOW = """
import sys
from diagnose.cli import _progress
_progress.QUIET_S = _progress.EVERY_S = 0.0
sys.argv = ["diagnose", "postmortem", sys.argv[1], "--format", "json"]
from diagnose.cli import main
main()
"""


def run(folder: Path, on_terminal: bool) -> tuple[str, str]:
    """stdout, and what stderr shows."""
    for rank in range(40):
        entry = {"collective_seq_id": 1, "process_group": ("0", "default_pg"), "state": "completed"}
        dump = {"pg_config": {}, "pg_status": {}, "entries": [entry], "comm_lib_version": "2"}
        (folder / f"_dump_{rank}").write_bytes(pickle.dumps(dump, 2))
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    if on_terminal:
        termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(theirs)
    assert process.stdout is not None
    with process.stdout as stream:
        printed = stream.read().decode()
    process.wait(60)
    shown = b""
    while select.select([ours], [], [], 0.2)[0]:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return printed, shown.decode()


def test_a_terminal_shows_how_far_the_reading_is_and_is_left_clean(tmp_path: Path) -> None:
    printed, shown = run(tmp_path, on_terminal=True)
    assert "40 of 40 files" in shown
    assert shown.endswith("\r\x1b[K")
    assert printed.startswith("{")


def test_without_a_terminal_nothing_is_shown(tmp_path: Path) -> None:
    printed, shown = run(tmp_path, on_terminal=False)
    assert shown == ""
    assert printed.startswith("{")

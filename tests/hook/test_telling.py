"""What a program says of itself by `probes.step`, `phase` and `note`, in a run and outside of one."""

from pathlib import Path
from typing import Any

from probes.rank_hook.diagnose_rank import state

TOP = str(Path(__file__).parents[2])
SAYS = """
import sys
import probes
for _ in range(4):
    probes.step()
with probes.phase("eval"):
    pass
open_phase = probes.phase("sampling")
open_phase.end()
open_phase.end()
probes.note(lane="training", hf_token="hf_abcdefghijklmnopqrstuvw", weights=[1])
probes.note(lane="training")
print(sorted(m for m in sys.modules if m.startswith("diagnose_rank")) == [])
"""


def test_outside_a_run_nothing_is_said_and_nothing_is_loaded(runner: Any, python: Any) -> None:
    done = runner.bare(python("-c", SAYS), PYTHONPATH=TOP)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert list(runner.folder.iterdir()) == []


def test_in_a_rank_steps_phases_and_notes_are_told_once_each(runner: Any, python: Any) -> None:
    done = runner.hooked(python("-c", SAYS), PYTHONPATH=TOP, RANK="0", WORLD_SIZE="1")
    assert (done.returncode, done.stderr) == (0, "")
    page = state.read(f"{runner.spool}/attempts/1/state/rank-00000.bin")
    assert page is not None and (page.num_steps, page.phase) == (4, "")
    assert runner.one(0, "run.noted")["notes"] == {
        "lane": "training",
        "hf_token": "<redacted>",
        "weights": "[1]",
    }
    phases = [e for e in runner.events(0) if e["event"].startswith("phase.")]
    assert [(e["event"], e["phase"], e["by"]) for e in phases] == [
        ("phase.started", "eval", "program"),
        ("phase.ended", "eval", "program"),
        ("phase.started", "sampling", "program"),
        ("phase.ended", "sampling", "program"),
    ]
    assert runner.one(0, "steps.timed")["num_steps"] == 4
    assert not [e for e in runner.events(0) if e["event"] == "hook.failed"]


def test_a_program_that_says_nonsense_is_not_ended_by_it(runner: Any, python: Any) -> None:
    text = """
import probes
class Bad:
    def __str__(self): raise TypeError
    def __eq__(self, other): raise TypeError
    __hash__ = None
probes.note(a=Bad()); probes.note(a=Bad())
probes.phase(Bad()).end()
print("over")
"""
    done = runner.hooked(python("-c", text), PYTHONPATH=TOP, RANK="0", WORLD_SIZE="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def test_a_fork_says_nothing_for_its_parent(runner: Any, python: Any) -> None:
    text = "import os, probes\nprobes.step()\nif os.fork() == 0:\n    probes.step(); os._exit(0)\nos.wait()\n"
    runner.hooked(python("-c", text), PYTHONPATH=TOP, RANK="0", WORLD_SIZE="1")
    page = state.read(f"{runner.spool}/attempts/1/state/rank-00000.bin")
    assert page is not None and page.num_steps == 1

"""What a trial comes to where it goes wrong: ranks hang, a launcher dies, evidence does not arrive."""

import os
import subprocess
import sys
import time

import pytest

from probes import procfs
from probes.checking import pace, trial, trial_files
from probes.checking.check import Target
from probes.checking.trial import Trial
from probes.checks import escape_routes, ranks_start

# It plays the launcher of a job in which rank 1 never comes out of a collective.
HANGS = """#!{python} -IS
import json, os, subprocess, sys, time
options = json.loads(sys.argv[-1])
for rank, parts in enumerate(([["started"], ["joined"], ["ended"]], [["started"], ["joined"], ["entered"]])):
    with open(os.path.join(options["out"], f"rank-{{rank}}.jsonl"), "w") as file:
        for [part] in parts:
            line = {{"part": part, "rank": rank, "time": time.time(), "seconds": 0.5, "op": "all_reduce"}}
            file.write(json.dumps(line) + "\\n")
        file.write('{{"part": "torn')
print("RuntimeError: wait timeout after 30000ms", flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
open({pids!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(60)
"""


def wanted(tmp_path, python, level="default", root=""):
    return trial.Wish(str(python), 2, "cpu", level, (), "", root or str(tmp_path / "runs"))


def is_gone(pid: int) -> bool:
    now = procfs.stat(pid)
    return now is None or now.state == "Z"


def test_a_rank_that_hangs_is_the_finding_and_nothing_of_it_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "LIMIT_S", {"default": 3.0})
    monkeypatch.setattr(trial, "GRACE_S", 1.0)
    monkeypatch.setattr(pace, "cpu_share", lambda: 1.0)  # on a busy machine it might only be late
    launcher, pids = tmp_path / "python", tmp_path / "pids"
    launcher.write_text(HANGS.format(python=sys.executable, pids=str(pids)))
    launcher.chmod(0o755)
    held = trial.launch(wanted(tmp_path, launcher), dict(os.environ))
    first, second = (ranks_start.of_rank(rank, held) for rank in (0, 1))
    assert first.values["is_through"] and not second.values["is_through"]
    assert (second.values["last"], second.values["was_ended_by_us"]) == ("in all_reduce", True)
    assert second.values["launcher_says"] == "RuntimeError: wait timeout after 30000ms"
    end = time.monotonic() + 60
    while not all(is_gone(int(pid)) for pid in pids.read_text().split()) and time.monotonic() < end:
        time.sleep(0.05)
    assert all(is_gone(int(pid)) for pid in pids.read_text().split())


def test_a_launcher_that_dies_says_why(tmp_path):
    launcher = tmp_path / "python"
    launcher.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named torch' >&2\nexit 1\n")
    launcher.chmod(0o755)
    told = ranks_start.of_rank(1, trial.launch(wanted(tmp_path, launcher), {"PATH": os.environ["PATH"]}))
    assert (told.values["last"], told.values["was_ended_by_us"]) == ("it never started", False)
    assert told.values["launcher_says"] == "ModuleNotFoundError: No module named torch"


def test_what_a_killed_trial_left_is_removed_by_the_next(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    for name in (f"t-{child.pid}-abc", f"t-{os.getpid()}-abc", "t-own", "other"):
        (tmp_path / name).mkdir()
    assert trial.own(str(tmp_path), "t-") == f"t-{os.getpid()}-"
    assert {path.name for path in tmp_path.iterdir()} == {f"t-{os.getpid()}-abc", "t-own", "other"}


def test_a_root_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    held = trial.launch(wanted(tmp_path, "/bin/true", "deep", str(tmp_path / "file" / "runs")), {})
    assert held.rehearsal == {"refusal": "Not a directory"}


RUN = {
    "stacks": {0: [105.0], 1: [101.0, 105.5]},
    "flight": {1: [105.2]},
    "events": {"job.stalled": [90.0, 104.0], "verdict.written": [102.0, 107.0]},
    "verdict": {"symptom": "hang", "causes": [{"failure": "user_lock_deadlock", "ranks": [1]}]},
}


def routes(told):
    return {one.subject: one.values for one in escape_routes.routes(told, 100.0, Trial(2, "cpu", 1, [], ""))}


def test_only_what_came_after_the_stall_counts():
    found = routes(RUN)
    assert found["stack"] == {"num_missing": 0, "has_culprit": True, "after_s": 5.5}
    assert found["flight recorder"] == {"num_missing": 1, "has_culprit": True, "after_s": 5.2}
    assert (found["job.stalled"]["after_s"], found["verdict.written"]["after_s"]) == (4.0, 7.0)
    assert found["verdict"]["is_right"]


@pytest.mark.parametrize(
    ("change", "subject", "key"),
    [
        ({"stacks": {0: [105.0]}}, "stack", "has_culprit"),  # ptrace and signals were refused
        ({"stacks": {1: [103.0]}}, "stack", "has_culprit"),  # before the stall
        ({"events": {}}, "job.stalled", "is_told"),
        ({"events": {}}, "stack", "has_culprit"),
        ({"verdict": {"symptom": "hang", "causes": [{"ranks": [0]}]}}, "verdict", "is_right"),
        ({"verdict": {"symptom": "unknown", "causes": []}}, "verdict", "is_right"),
        ({"verdict": {}}, "verdict", "is_right"),
    ],
)
def test_what_did_not_arrive_is_not_called_arrived(change, subject, key):
    assert routes(RUN)[subject][key] and not routes(RUN | change)[subject][key]


def test_a_job_that_never_came_to_the_hang_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        trial, "held", lambda target: Trial(2, "cpu", 1, [], "", rehearsal=RUN | {"events": {}})
    )
    found = escape_routes.measure(Target({"DIAGNOSE_ROOT": str(tmp_path)}))
    assert [one.values for one in found] == [{"refusal": ""}, {"is_reached": False}]


@pytest.mark.parametrize(("share", "outcome"), [(0.9, "measured"), (0.2, "skip")])
def test_what_is_late_on_a_busy_machine_is_not_called_lost(tmp_path, monkeypatch, share, outcome):
    lines = [{"part": "hanging", "rank": 0, "time": 100.0}, {"part": "joined", "rank": 1, "seconds": 0.5}]
    told = {"stacks": {0: [105.0]}, "events": {"job.stalled": [104.0]}, "verdict": {}}
    held = Trial(2, "cpu", None, lines, "", rehearsal=told, cpu_share=share)
    monkeypatch.setattr(trial, "held", lambda target: held)
    found = {one.subject: one for one in escape_routes.measure(Target({"DIAGNOSE_ROOT": str(tmp_path)}))}
    assert found["job.stalled"].values["is_told"], "what arrived has arrived"
    missing = {found[name].skip[:13] for name in ("stack", "verdict", "verdict.written")}
    assert missing == ({"it did not ar"} if outcome == "skip" else {""})
    assert bool(ranks_start.of_rank(1, held).skip) == (outcome == "skip")
    assert not ranks_start.of_rank(1, held._replace(code=1)).skip, "it ended by itself"
    early = escape_routes.unreached({"events": {"job.stalled": [1.0]}}, held._replace(cpu_share=1.0))
    assert "H01" in early.skip


def test_a_run_directory_is_read_as_far_as_it_goes(tmp_path):
    folder = tmp_path / "attempts/1"
    for path in (
        "stacks/1/rank-00001.json",
        "stacks/1/rank-x.json",
        "flight/watchdog/rank-00000",
        "events/a.jsonl",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text('{"event":"job.stalled","time":5.0}\nnoise\n[]\n{"event":7}\n{"event":"x"')
    (tmp_path / "verdict.json").write_text("{")
    found = trial_files.left(str(tmp_path))
    assert (list(found["stacks"]), list(found["flight"])) == ([1], [0])
    assert (found["events"], found["verdict"]) == ({"job.stalled": [5.0]}, {})


def test_the_job_is_launched_without_the_words_of_a_launcher_around_us():
    given = {
        "RANK": "3",
        "MASTER_ADDR": "x",
        "DIAGNOSE_SPOOL": "y",
        "NCCL_ALGO": "Ring",
        "OMP_NUM_THREADS": "4",
    }
    assert trial.surroundings(given, "") == {"NCCL_ALGO": "Ring", "OMP_NUM_THREADS": "4"}
    nccl = trial.surroundings({trial.DIAGNOSE: "0"}, "/n.log")
    assert nccl["NCCL_DEBUG"] == "INFO" and nccl[trial.DIAGNOSE] == "0", "an operator's own value wins"
    assert trial.surroundings({}, "/n.log")[trial.DIAGNOSE] == "1"

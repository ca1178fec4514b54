"""Ends that only the platform tells of: each is a state, a reason, and a cause that the playbook knows."""

import json
import shutil
import subprocess
import sys

import pytest

from diagnose.contract import Manifest, Transition
from diagnose.surfaces.modal import looks
from diagnose.surfaces.modal.collect import Look
from diagnose.surfaces.modal.outcome import Unreachable

# status, what the platform says, outcome, cause; the texts of 5 to 10 are guesses
ENDS = [
    (3, "Function call was cancelled", "terminated", ["platform_cancelled"]),
    (4, "Task's current input hit its timeout of 300s", "function_timeout", ["platform_timeout"]),
    (5, "Container initialization failed", "init_failure", ["platform_init_failure"]),
    (6, "internal failure", "internal_failure", []),
    (7, "Container was idle", "idle_timeout", []),
    (8, "Container was evicted", "evicted", ["platform_evicted"]),
    (9, "Container was evicted: memory thrashing", "evicted", ["platform_evicted"]),
    (10, "Container ran out of memory", "oom", ["host_oom_kill"]),
    (2, "Container killed: missed heartbeats", "heartbeat_lost", ["platform_heartbeat_lost"]),
    (2, "Container terminated due to preemption", "preempted", ["platform_preempted"]),
]


class Queued:
    """A run that no container has begun."""

    def __init__(self, plane, folder):
        self.plane, self.folder = plane, folder
        done = self.modal("launch", "--", "true")
        assert done.returncode == 0, done.stderr
        [self.run] = (folder / "runs").iterdir()
        self.call = self.manifest(self.run)["function_call_id"]

    def modal(self, *words):
        return subprocess.run(
            [sys.executable, "-P", "-m", "diagnose", "modal", *words],
            cwd=self.folder,
            env=self.plane.environ(),
            capture_output=True,
            text=True,
            timeout=120,
        )

    @staticmethod
    def manifest(run):
        return json.loads((run / "manifest.json").read_bytes())


@pytest.fixture(scope="module")
def queued(plane, tmp_path_factory):
    return Queued(plane, tmp_path_factory.mktemp("queued"))


@pytest.mark.parametrize(
    ("status", "text", "outcome", "wanted"),
    ENDS,
    ids=[f"{status}-{outcome}" for status, _, outcome, _ in ENDS],
)
def test_each_end_is_a_state_and_a_cause(plane, queued, tmp_path, status, text, outcome, wanted):
    plane.ask("reopen", call=queued.call)
    run = tmp_path / queued.run.name
    shutil.copytree(queued.run, run)
    plane.ask("finish", call=queued.call, status=status, text=text)
    done = queued.modal("collect", str(run), "--format", "json")
    told = queued.manifest(run)
    assert (told["state"], told["outcome"]) == ("error", outcome), done.stderr
    assert told["transitions"][-1]["reason"] == f"{outcome}: {text}"
    assert [cause["failure"] for cause in json.loads(done.stdout)["causes"]] == wanted


def test_a_queued_run_is_stopped_without_a_container(plane, queued):
    plane.ask("reopen", call=queued.call)
    assert queued.modal("stop", "--now").returncode == 0
    queued.modal("collect")
    assert queued.manifest(queued.run)["outcome"] == "terminated"
    again = queued.modal("stop")
    assert again.returncode == 2 and "has ended already" in again.stderr


def test_following_goes_on_when_the_network_comes_back(monkeypatch, tmp_path):
    def seen(state):
        return Look(Manifest(run="r", state=state, transitions=[Transition(state, 1.0)]), [], 0, [], [])

    answers = [seen("running"), Unreachable("no route"), Unreachable("no route"), seen("running"), seen("ok")]

    def look(run):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(looks, "look", look)
    told = list(looks.following(tmp_path, 0.01))
    assert [text.rpartition(" ")[2] for text in told] == ["running", "route", "running", "ok"]
    answers = [Unreachable("no route")]
    with pytest.raises(Unreachable):
        next(looks.following(tmp_path, 0.01))

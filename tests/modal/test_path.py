"""The whole path: real client, real runtime, real ranks; and what is known here once it is over."""

import itertools
import json
import os
import signal
import subprocess
import sys

import pytest

from tests.modal.test_plane import launch

pytestmark = [pytest.mark.torch, pytest.mark.ranks]

PUSH_S = 1.0  # as it is asked for here
HEAD = """
import os, sys, time
import torch, torch.distributed as dist
dist.init_process_group("gloo")
rank, ones = dist.get_rank(), torch.ones(4)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
def step():
    model(ones).sum().backward()
    dist.all_reduce(model.weight.grad)
    optimizer.step()
for _ in range(3):
    step()
print("ready", flush=True)
"""
HEALTHY = HEAD + "for _ in range(20): step(); time.sleep(0.05)\ndist.destroy_process_group()\n"
KILLED = HEAD + "if rank == 1: time.sleep(1); os.kill(os.getpid(), 9)\nwhile True: step(); time.sleep(0.02)\n"
ONCE_ENDLESS = HEAD + "while not os.path.exists('again'): step(); time.sleep(0.05)\n"
ENDLESS = HEAD + "while True: step(); time.sleep(0.05)\n"


class Job:
    """One run, launched with our own command, in a folder of its own."""

    def __init__(self, plane, folder, program, *options, num_ranks=4, command=None):
        self.plane, self.folder = plane, folder
        (folder / "train.py").write_text(program)
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(num_ranks)]
        launcher += [] if "--nodes" in options else ["--standalone"]
        words = [
            "--workdir",
            str(folder),
            "--push-every",
            "1",
            *options,
            "--",
            *(command or [*launcher, "train.py"]),
        ]
        self.launched = self.diagnose("launch", *words)
        assert self.launched.returncode == 0, self.launched.stderr
        [self.run] = (folder / "runs").iterdir()
        self.call = self.manifest["function_call_id"]

    def diagnose(self, *words):
        return subprocess.run(
            [sys.executable, "-P", "-m", "diagnose", "modal", *words],
            cwd=self.folder,
            env=self.plane.environ(OMP_NUM_THREADS="1"),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, **env):
        return self.plane.ask("start", call=self.call, env={"OMP_NUM_THREADS": "1", **env})

    @property
    def manifest(self):
        return json.loads((self.run / "manifest.json").read_bytes())

    @property
    def states(self):
        return [step["state"] for step in self.manifest["transitions"]]

    def collect(self):
        done = self.diagnose("collect", "--format", "json")
        assert done.returncode in (0, 1, 3), done.stderr
        return json.loads(done.stdout)

    def lost_s(self, task):
        """How far back what a killed container took with it reaches, from its own last event; 0: nothing."""
        there = self.plane.folder / "plane" / task / "t"
        folders = [*there.glob("dg-*/attempts/*/events"), *there.glob("diagnose/1/*/attempts/*/events")]
        told = times(folders)
        lost = told.keys() - times(self.run.glob("attempts/*/events")).keys()
        return max(told.values()) - min(told[line] for line in lost) if lost else 0.0

    def bound_s(self):
        """What may be lost: an interval, and twice what the last pushes here took longer than that."""
        files = self.plane.ask("tell")["times"].get("diagnose", {}).items()
        times = sorted(time for path, time in files if path.startswith(f"{self.run.name}/attempts/"))
        waits = [later - time for time, later in itertools.pairwise(times) if later > times[-1] - 5 * PUSH_S]
        return PUSH_S + 2 * max(0.0, max(waits, default=0.0) - PUSH_S)

    def pushed(self):
        files = self.plane.ask("tell")["volumes"].get("diagnose", {})
        return {path for path in files if path.startswith(f"{self.run.name}/")}


def times(folders):
    """Event line -> its time, of all whole lines in these folders."""
    texts = [path.read_bytes() for folder in folders for path in folder.glob("*.jsonl")]
    lines = {line for text in texts for line in text[: text.rfind(b"\n") + 1].splitlines()}
    return {line: json.loads(line)["time"] for line in lines}


def causes(verdict):
    return [(cause["failure"], cause["ranks"]) for cause in verdict["causes"]]


def test_a_healthy_run_comes_back_whole(plane, tmp_path):
    job = Job(plane, tmp_path, HEALTHY)
    assert job.states == ["launching", "detached"]
    started = job.start()
    assert plane.ask("wait", task=started["task"])["code"] == 0
    verdict = job.collect()
    assert job.states == ["launching", "detached", "ok"], job.manifest
    assert (verdict["symptom"], causes(verdict), verdict["run"]["num_ranks"]) == ("none", [], 4)
    assert verdict["run"]["attempts"] == [started["task"]]
    assert job.manifest["result"]["pushed"] == "whole" and job.manifest["is_whole"]
    log = job.run / "attempts" / started["task"] / "logs"
    assert (log.with_name("host") / "environment.json").is_file(), "what the container offers"
    assert sum(path.read_text().count("ready") for path in log.glob("rank-*.log")) == 4
    print("served:", json.dumps(plane.ask("tell")["served"]))


def test_a_killed_rank_is_named(plane, tmp_path):
    job = Job(plane, tmp_path, KILLED)
    started = job.start()
    assert plane.ask("wait", task=started["task"])["code"] == 0
    verdict = job.collect()
    assert job.states == ["launching", "detached", "error"]
    assert job.manifest["result"]["exit_code"] == 1
    assert causes(verdict) == [("rank_killed", [1])], verdict["causes"]


def test_what_was_pushed_survives_the_containers_sigkill(plane, tmp_path, wait):
    job = Job(plane, tmp_path, ENDLESS)
    started = job.start()
    wait(lambda: sum("/events/rank-" in path for path in job.pushed()) >= 4, "nothing was pushed")
    under_way = job.diagnose("collect")
    assert under_way.returncode == 0 and "nothing wrong seen so far" in under_way.stdout
    assert job.states == ["launching", "detached", "running"]
    assert plane.ask("kill", task=started["task"])["pids"]
    plane.ask("finish", call=job.call, status=10, text="Container killed: out of memory")
    verdict = job.collect()
    assert job.states == ["launching", "detached", "running", "error"]
    assert job.manifest["outcome"] == "oom"
    assert causes(verdict) == [("host_oom_kill", [])], verdict["causes"]
    assert job.lost_s(started["task"]) <= job.bound_s()


@pytest.mark.slow
def test_after_a_preemption_the_next_container_goes_on(plane, tmp_path, wait):
    job = Job(plane, tmp_path, ONCE_ENDLESS)
    first = job.start()
    wait(lambda: sum("/events/rank-" in path for path in job.pushed()) >= 4, "nothing was pushed")
    os.kill(first["pid"], signal.SIGINT)
    assert plane.ask("wait", task=first["task"])["code"] == 0
    assert plane.call(job.call)["status"] == 0  # no output: the platform runs it again
    assert plane.ask("kill", task=first["task"])["pids"] == []  # nothing of the command is left
    assert ("platform_preempted", []) in causes(job.collect())
    (tmp_path / "again").touch()
    second = job.start()
    assert plane.ask("wait", task=second["task"])["code"] == 0
    told = job.diagnose("collect")
    assert f"{first['task']} was interrupted" in told.stderr, told.stderr
    assert job.states == ["launching", "detached", "running", "ok"]
    verdict = job.collect()
    assert verdict["run"]["attempts"] == [first["task"], second["task"]]
    assert (verdict["symptom"], causes(verdict)) == ("none", [])
    assert [one["failure"] for one in verdict["context"]] == ["platform_preempted"]


@pytest.mark.slow
def test_a_stop_reaches_the_container_and_ends_the_run(plane, tmp_path, wait):
    job = Job(plane, tmp_path, ENDLESS)
    started = job.start()
    wait(lambda: sum("/events/rank-" in path for path in job.pushed()) >= 4, "nothing was pushed")
    stopped = job.diagnose("stop")
    assert stopped.returncode == 0, stopped.stderr
    plane.ask("wait", task=started["task"])
    verdict = job.collect()
    assert job.states[-1] == "error" and job.manifest["outcome"] == "terminated", job.manifest
    assert ("platform_cancelled", []) in causes(verdict)


def test_a_function_of_ones_own_may_run_the_body(plane, tmp_path):
    told = launch(plane, "own", command=["sh", "-c", "echo hello; exit 3"])
    started = plane.ask("start", call=told["call"])
    assert plane.ask("wait", task=started["task"])["code"] == 0
    words = [sys.executable, "-P", "-m", "diagnose", "modal", "collect", "their-run"]
    more = {"cwd": tmp_path, "env": plane.environ(), "capture_output": True, "text": True, "timeout": 120}
    unknown = subprocess.run([*words, "--volume", "data"], **more)
    assert unknown.returncode == 2 and "volume data has no run their-run" in unknown.stderr
    done = subprocess.run([*words, "--volume", "diagnose"], **more)
    assert "error: exit code 3" in done.stderr
    log = tmp_path / "runs/their-run/attempts" / started["task"] / "logs/launcher.log"
    assert log.read_text() == "hello\n"

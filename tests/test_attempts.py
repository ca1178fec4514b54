"""Several attempts at one run: the run's verdict is the last one's, unless only an earlier one tells why."""

import json

import pytest

from diagnose import pipeline, playbook
from diagnose.bundle import members
from diagnose.coverage import by_attempt
from diagnose.render.page import page
from diagnose.sources import probe_log

BOOK = playbook.load()


class Run:
    """A run directory with few words in it."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0

    def say(self, attempt, source, event, time, rank=None, **data):
        self.count += 1
        path = self.folder / "attempts" / attempt / "events" / f"{source}-{self.count:06d}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = {"v": 1, "time": time, "event": event, "source": source, "node": "n1", **data}
        path.write_text(json.dumps(line if rank is None else {**line, "rank": rank}) + "\n")

    def ranks(self, attempt, time):
        for rank in (0, 1):
            self.say(attempt, "rank_hook", "rank.claimed", time, rank, pid=70 + rank, world_size=2)

    def container(self, attempt, time, **data):
        self.say(attempt, "container", "container.started", time, input_id="in-1", push_s=5, **data)
        self.say(attempt, "run", "command.started", time + 1, pid=7)
        self.ranks(attempt, time + 2)

    def preempted(self, attempt, time):
        self.say(attempt, "container", "container.interrupted", time, how="KeyboardInterrupt")
        self.say(
            attempt, "platform_log", "platform.preempted", time, by="modal", text="SIGINT", sign="SIGINT"
        )
        self.say(attempt, "run", "signal.received", time, signal=15)
        self.say(attempt, "run", "command.ended", time + 1, exit_code=143)

    def crashed(self, attempt, time):
        self.say(
            attempt, "rank_hook", "exception.raised", time, 1, type="ValueError", message="no", frames=[]
        )
        self.say(attempt, "agent", "rank.died", time + 1, 1, pid=71, exit_code=1)

    def state(self, *states):
        steps = [{"state": state, "time": 1.0 + n} for n, state in enumerate(states)]
        text = json.dumps({"schema": "diagnose/manifest/1", "run": "r", "transitions": steps})
        (self.folder / "manifest.json").write_text(text)

    def verdict(self):
        return pipeline.diagnose_bundle("r", members(str(self.folder)), BOOK)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def told(verdict):
    found = [[cause.failure for cause in part] for part in (verdict.causes, verdict.context)]
    return verdict.symptom, *found, verdict.exit_code()


def test_a_preempted_container_and_one_that_ended_well(run):
    run.container("ta-b", 10.0)
    run.preempted("ta-b", 20.0)
    run.container("ta-a", 40.0)  # no order of names
    run.say("ta-a", "run", "command.ended", 60.0, exit_code=0)
    verdict = run.verdict()
    assert told(verdict) == ("none", [], ["platform_preempted"], 0)
    assert verdict.run.attempts == ["ta-b", "ta-a"]
    rows = [row.text for part in page(verdict, BOOK).sections if part.label == "CONTEXT" for row in part.rows]
    assert rows[0].startswith("attempt ta-b: ") and rows[0].endswith("the platform took the machine away")


def test_a_preempted_container_and_one_at_work(run):
    run.container("ta-1", 10.0)
    run.preempted("ta-1", 20.0)
    run.container("ta-2", 40.0)
    assert told(run.verdict())[1:] == (["platform_preempted"], [], 1), "nobody says that the run goes on"
    run.state("launching", "detached", "running")
    assert told(run.verdict()) == ("unknown", [], ["platform_preempted"], 3)


def test_a_preempted_container_and_one_that_failed_by_itself(run):
    run.container("ta-1", 10.0)
    run.preempted("ta-1", 20.0)
    run.container("ta-2", 40.0)
    run.crashed("ta-2", 50.0)
    run.say("ta-2", "run", "command.ended", 53.0, exit_code=1)
    assert told(run.verdict()) == ("crash", ["rank_exception"], ["platform_preempted"], 1)


def test_a_container_that_vanished_and_one_that_ended_well(run):
    run.container("ta-1", 10.0)
    run.container("ta-2", 40.0)
    run.say("ta-2", "run", "command.ended", 60.0, exit_code=0)
    assert told(run.verdict()) == ("none", [], ["container_vanished"], 0)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [(0, ("none", [], ["rank_exception"], 0)), (1, ("crash", ["rank_exception"], [], 1))],
)
def test_a_launchers_restart_that_ended_well_outlives_the_failure_before(run, code, wanted):
    run.say("1", "run", "command.started", 10.0, pid=7)
    run.ranks("1", 11.0)
    run.crashed("1", 20.0)
    run.ranks("2", 30.0)
    run.say("1", "run", "command.ended", 60.0, exit_code=code)
    assert told(run.verdict()) == wanted


def test_each_container_has_its_own_end_and_its_restarts(run):
    run.container("ta-1", 10.0)
    run.ranks("ta-1-1", 15.0)
    run.say("ta-1", "run", "command.ended", 20.0, exit_code=1)
    run.container("ta-2", 40.0)
    run.say("ta-2", "run", "command.ended", 50.0, exit_code=0)
    log = run.folder / "platform" / "events" / "call-000001.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"v":1,"time":17.0,"event":"platform.oom_told","source":"platform_log"}\n')
    events = [e for m in members(str(run.folder)) for e in probe_log.parse(m)]
    ends = ("command.ended", "platform.oom_told", "attempt.followed")
    kinds = {name: [e.kind for e in part if e.kind in ends] for name, part in by_attempt(events).items()}
    assert kinds == {
        "ta-1": [],
        "ta-1-1": ["command.ended", "platform.oom_told", "attempt.followed"],
        "ta-2": ["command.ended"],
    }

"""What the platform itself says of a run, its log, its end, its call graph: kept as evidence, and bounded."""

import json
import time

import pytest

from diagnose import playbook, reader
from diagnose.surfaces.modal import looks
from diagnose.surfaces.modal.cloud_types import Line
from diagnose.surfaces.modal.collect import collect
from tests.modal.answers import GOOD, NODE, STARTED, Cloud


def test_what_the_platform_says_of_an_end_is_kept_as_evidence(run):
    cloud = Cloud("function_timeout")
    collect(run, cloud, NODE)
    [line] = (run / "platform/events/call-000001.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "platform.timed_out"
    assert "Xid 79" in (run / "platform/modal.log").read_text()
    kept = json.loads((run / "manifest.json").read_bytes())
    assert kept["outcome"] == "function_timeout" and kept["call_graph"][0]["task_id"] == "ta-1"
    assert kept["is_whole"] is False, "its container may still push"


def test_an_end_that_no_container_told_says_what_was_not_seen(run):
    cloud = Cloud("oom")
    cloud.say(1, STARTED | {"is_gvisor": True})
    told = looks.lines(run, collect(run, cloud, NODE))
    assert sum(line.startswith("not seen: ") for line in told) == 2, told
    last = (run / "attempts/ta-1/events/container-000001.jsonl").stat().st_mtime
    line = json.loads((run / "platform/events/call-000001.jsonl").read_text())
    assert line["time"] == last, "the platform tells no time: it is that of the last push"


def test_a_new_end_takes_back_what_was_concluded_before(run):
    (run / "verdict.json").write_text("{}")
    (run / "record.json").write_text("{}")
    silent = Cloud()
    silent.logs = lambda *_: iter(())
    collect(run, silent, NODE)
    assert (run / "record.json").exists()
    collect(run, Cloud("returned", GOOD), NODE)
    assert not (run / "record.json").exists() and not (run / "verdict.json").exists()


def test_what_the_platform_says_of_a_gpu_is_a_cause(run):
    cloud = Cloud("internal_failure")
    xid = "[gpu-health] [CRITICAL] GPU-5c1e: XID: NVRM: Xid (PCI:0000:1b:00): 79, GPU has fallen off the bus."
    cloud.logs = lambda *_: iter([Line(5.0, "stdout", "hello\n"), Line(6.0, "system", xid + "\n")])
    cloud.say(1, STARTED)
    collect(run, cloud, NODE)
    assert "hello" not in (run / "platform/modal.log").read_text(), (
        "the job's own words are in the run already"
    )
    verdict = reader.examine(run, "r-1", playbook.load())
    assert [cause.failure for cause in verdict.causes] == ["gpu_off_bus"]


def log_of(run):
    return (run / "platform/modal.log").read_text().splitlines()


def test_a_log_that_lags_is_read_again_and_what_it_forgot_is_kept(run):
    cloud = Cloud("oom")
    cloud.logs = lambda *_: iter([Line(5.0, "system", "first")])
    collect(run, cloud, NODE)
    (run / "verdict.json").write_text("{}")
    cloud.logs = lambda *_: iter([Line(6.0, "system", "Container ran out of memory\nodd\x1b[2J\ud800")])
    collect(run, cloud, NODE)
    assert [row.split(" ", 1)[1] for row in log_of(run)][:2] == ["first", "Container ran out of memory"]
    assert not (run / "verdict.json").exists(), "it was concluded without this"
    (run / "verdict.json").write_text("{}")
    collect(run, cloud, NODE)
    assert (run / "verdict.json").exists() and len(log_of(run)) == 3


def test_of_a_flood_the_first_and_the_last_are_kept_whatever_else_is_said(run):
    cloud = Cloud("internal_failure")
    flood = [Line(10.0 + second, "system", "[gpu-health] [WARN] GPU-1: Xid 13") for second in range(30_000)]
    cloud.logs = lambda *_: iter([Line(5.0, "system", "begin"), *flood, Line(1e6, "system", "end")])
    collect(run, cloud, NODE)
    assert [row.split(" ", 1)[1][:5] for row in log_of(run)] == ["begin", *["[gpu-"] * 21, "end"]


def test_a_run_of_others_is_asked_for_from_its_containers_begin(run):
    asked = []
    cloud = Cloud("oom")
    cloud.logs = lambda call, since, until: iter(asked.append(since.timestamp()) or [])
    hour = time.time() - 3600
    cloud.say(1, STARTED | {"time": hour})
    collect(run, cloud, NODE)
    assert asked[-1] == pytest.approx(hour - 60, abs=1)
    cloud.say(2, STARTED | {"time": 5.0})  # its clock is wrong by decades
    collect(run, cloud, NODE)
    assert time.time() - asked[-1] < 31 * 86400


def test_a_run_that_nobody_began_says_what_the_call_graph_does(run):
    cloud = Cloud()
    cloud.graph = lambda _: [{"status": "PENDING", "task_id": ""}]
    assert collect(run, cloud, NODE).notes == [
        "no container has spoken; Modal's call graph, a hint: PENDING in no container"
    ]
    cloud.say(1, STARTED)
    assert collect(run, cloud, NODE).notes == []


def test_what_is_printed_of_a_log_has_no_secrets_and_no_escapes(run, monkeypatch):
    cloud = Cloud()
    token = "hf_" + "abcdefghijklmnopqrst"
    cloud.logs = lambda *_: iter([Line(5.0, "stdout", f"login {token}\x1b[2J\n"), Line(6.0, "system", token)])
    monkeypatch.setattr(looks, "cloud", cloud)
    told = "".join(looks.logs(run)) + (run / "platform/modal.log").read_text()
    assert token not in told and "\x1b" not in told and told.count("<redacted>") == 3

"""`modal preflight` and the gate of `modal launch`: what is asked, and what comes back, whatever happens."""

import json
import os
import signal
import subprocess
import sys

import msgspec
import pytest
from click.testing import CliRunner

from diagnose import manifest
from diagnose.cli import _modal_checks
from diagnose.cli.modal import command
from diagnose.preflight import book, saving
from diagnose.preflight.judging import judge
from diagnose.preflight.measured import Made, Measured, Measurement
from diagnose.preflight.report import encode
from diagnose.surfaces.modal import body, checked, reporting
from tests.modal.test_body import here, spec

__all__ = ["here"]
TORCHRUN = ("torchrun", "--nproc-per-node", "8", "train.py")
GOOD = Measurement("/dev/shm", "statvfs", {"size_bytes": 8 << 30})
SMALL = Measurement("/dev/shm", "statvfs", {"size_bytes": 1 << 20})


def call(tmp_path, *words):
    return CliRunner().invoke(command, [*words], env={"DIAGNOSE_ROOT": str(tmp_path / "runs")})


def test_a_dry_run_says_what_is_checked_where_and_what_it_costs(tmp_path):
    words = ("--gpu", "h200:8", "--memory", "512GiB", "--cpu", "64", "--volume", "data:/data:ro")
    words += ("--only", "limits", "--set", "checkpoint_bytes=20G")
    done = call(tmp_path, "preflight", *words, "--fast", "--dry-run", "--", *TORCHRUN)
    assert done.exit_code == 0, done.output
    rows = {line[:10].strip(): line[10:] for line in done.stdout.splitlines() if line[:10].strip()}
    assert rows["checks"] == "--fast --gpu H200:8 --only limits --set checkpoint_bytes=20G"
    assert rows["command"] == "torchrun --nproc-per-node 8 train.py"
    assert rows["timeout"].startswith("02:10") and rows["gpu"] == "H200:8" and rows["cost"].startswith("$43.")
    assert "data at /data (read-only)" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_the_timeout_is_the_jobs_and_the_checks_have_one_of_their_own(tmp_path):
    done = call(tmp_path, "preflight", "--deep", "--timeout", "5m", "--dry-run")
    rows = {line[:10].strip(): line[10:] for line in done.stdout.splitlines() if line[:10].strip()}
    assert rows["timeout"].startswith("12:00") and rows["job ends"].startswith("05:00")
    assert "timeout 300 s ends the container before a hang tells of itself" in rows["note"]
    assert call(tmp_path, "preflight", "--timeout", "2d", "--dry-run").exit_code == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--gpu", "H900:8"],
        ["--only", "nothing"],
        ["--exclude-cost", "money"],
        ["--set", "checkpoint_bytes=big"],
        ["--wait", "long"],
        ["--timeout", "2w"],
        ["--compare", "no_such_run"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_refused_before_anything_is_asked(tmp_path, words):
    done = call(tmp_path, "preflight", *words)
    assert done.exit_code in {1, 2} and not done.stdout and not (tmp_path / "runs").exists()


# In the container


def test_what_runs_there_is_our_own_command_in_the_environment_that_the_job_would_get(here, monkeypatch):
    monkeypatch.setenv("NCCL_DEBUG", "TRACE")
    asked = spec(*TORCHRUN, checks=["--fast", "--only", "recorder_armed"], env="policy")
    one = body.Attempt(asked, body.uploader("v", "r"))
    words = one.command()
    assert words[words.index("diagnose") + 1 : words.index("--")][:4] == ["preflight", *asked["checks"]]
    assert words[words.index("--") + 1 :] == [*TORCHRUN]
    environ = one.environ()
    assert "DIAGNOSE_ENDS_AT" not in environ, "nobody said when"
    assert environ["NCCL_DEBUG"] == "TRACE" and environ["TORCH_NCCL_DUMP_ON_TIMEOUT"] == "1"
    assert (
        "TORCH_NCCL_DUMP_ON_TIMEOUT"
        not in body.Attempt({**asked, "env": "none"}, body.uploader("v", "r")).environ()
    )


def test_who_ends_a_hang_first_is_reckoned_with_the_jobs_own_end(here, monkeypatch):
    monkeypatch.setattr(body.time, "time", lambda: 1000.0)
    checks = body.Attempt(spec(checks=[], job_timeout_s=300, timeout_s=130), body.uploader("v", "r"))
    launch = body.Attempt(spec("true", timeout_s=300, preflight="fast"), body.uploader("v", "r"))
    launch.begun -= 100
    assert checks.environ()["DIAGNOSE_ENDS_AT"] == "1300"
    assert launch.environ()["DIAGNOSE_ENDS_AT"] in {"1199", "1200"}


def test_the_report_goes_out_both_ways(here, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,0")
    told = body.job(spec("true", checks=["--fast", "--only", "visible_devices"]))
    assert (told["status"], told["exit_code"], told["pushed"]) == ("ok", 1, "whole"), told
    assert told["failed_checks"][0].startswith("B01 not so: ")
    report = here["attempts/ta-7/preflight.json"]
    assert reporting.unpack(told["preflight"]) == report and json.loads(report)["outcome"] == "fail"
    [line] = [line for data in here.values() for line in data.splitlines() if b'"preflight.failed"' in line]
    assert json.loads(line)["failed"] == told["failed_checks"]


def test_a_check_that_fails_stops_a_launch_in_its_container(here, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,0")
    told = body.job(spec("touch", str(tmp_path / "started"), preflight="fast"))
    assert (told["status"], told["exit_code"]) == ("error", 1) and not (tmp_path / "started").exists()
    assert json.loads(here["attempts/ta-7/preflight.json"])["outcome"] == "fail"


def test_a_large_report_is_left_to_the_volume_if_that_took_it():
    large = os.urandom(9000)
    assert reporting.pack(large, is_pushed=True) is None
    assert reporting.unpack(reporting.pack(large, is_pushed=False)) == large
    assert all(reporting.unpack(wrong) == b"" for wrong in (None, 7, "", "%%%", "AAAA", ["x"]))


# Here


def begun(tmp_path, *attempts, **cluster):
    """A pre-flight's run whose containers have begun."""
    run = tmp_path / "runs/preflight-1"
    for number, name in enumerate(attempts):
        line = {"event": "container.started", "attempt": name, "time": 5.0 + number, "region": "us-east"}
        line |= {**cluster, "node_index": number} if cluster else {}
        folder = run / "attempts" / name / "events"
        folder.mkdir(parents=True)
        (folder / "container-000001.jsonl").write_text(json.dumps(line) + "\n")
    manifest.begin(run, id=run.name, surface="modal", kind="preflight", volume="v")
    return run


def report(*measurements, how="ended"):
    made = [Made("shared_memory", measurements=[*measurements])]
    return judge(Measured("n", 1.0, 0.1, how, checks=made, wanted=["shared_memory"]), book.load())


def test_the_newest_container_that_told_something_counts_with_where_it_was(tmp_path):
    run = begun(tmp_path, "ta-1", "ta-2", "ta-3")
    for name, measurement in (("ta-1", SMALL), ("ta-2", GOOD)):
        (run / "attempts" / name / saving.NAME).write_bytes(encode(report(measurement)))
    found = checked.find(run)
    assert found and found.platform == {"name": "modal", "container": "ta-2", "region": "us-east"}
    assert found.checks[0].measurements == [GOOD]


def test_a_result_brings_the_report_that_the_volume_lacks(tmp_path):
    run = begun(tmp_path, "ta-1")
    packed = reporting.pack(encode(report(GOOD)), is_pushed=True)
    value = {"status": "ok", "exit_code": 0, "attempt": "ta-1", "preflight": packed}
    assert "preflight" not in reporting.apart(run, value, {"ta-1"})
    assert checked.find(run).checks[0].measurements == [GOOD]
    before = sorted(tmp_path.rglob("*"))
    for wrong in ("ta-9", "../../x", "..", ""):
        reporting.apart(run, {**value, "attempt": wrong}, {"ta-1", wrong} - {"ta-9"})
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written for a container that did not begin"


LINES = [
    b'{"event":"checks.begun","node":"n","time":1.0,"machine":{"kernel":"linux"},"target":{"num_gpus":1}}',
    b'{"event":"check.made","check":"shared_memory","measurements":[%s]}',
    b'{"event":"check.started","check":"disk_room"}',
]


@pytest.mark.parametrize(("measurement", "code"), [(GOOD, 3), (SMALL, 1)], ids=["good", "bad"])
def test_of_a_container_that_was_killed_what_had_been_measured_is_told(tmp_path, capsys, measurement, code):
    run = begun(tmp_path, "ta-1")
    manifest.advance(run, "error", "oom: Container ran out of memory", is_whole=True, outcome="oom")
    lines = b"\n".join(LINES) % msgspec.json.encode(measurement)
    (run / "attempts/ta-1" / saving.LINES).write_bytes(lines)
    shown = _modal_checks.told(run, book.load(), ["shared_memory", "disk_room"], None, "json", False)
    out, errors = capsys.readouterr()
    told = json.loads(out)
    assert shown == code
    assert {check["name"]: check["outcome"] for check in told["checks"]}["disk_room"] == "skip"
    assert "disk_room was being made: oom: Container ran out of memory" in errors
    assert f"diagnose modal collect {run.name}" in errors


def test_the_nodes_of_a_cluster_are_one_report_by_node(tmp_path, capsys):
    run = begun(tmp_path, "ta-1", "ta-2", cluster_id="cu-1", num_nodes=3)
    manifest.advance(run, "error", "oom", is_whole=True, outcome="oom")
    (run / "attempts/ta-1" / saving.NAME).write_bytes(encode(report(GOOD)))
    lines = b"\n".join(LINES) % msgspec.json.encode(SMALL)
    (run / "attempts/ta-2" / saving.LINES).write_bytes(lines)
    shown = _modal_checks.told(run, book.load(), ["shared_memory", "disk_room"], None, "json", False)
    out, errors = capsys.readouterr()
    told = json.loads(out)
    checks = {check["name"]: check for check in told["checks"]}
    parts = {part["subject"]: part["outcome"] for part in checks["shared_memory"]["subjects"]}
    assert parts == {"node-0 /dev/shm": "pass", "node-1 /dev/shm": "fail", "node-2": "skip"}
    assert checks["shared_memory"]["outcome"] == "fail" and shown == 1
    assert checks["shared_memory"]["reason"].startswith("no more than")
    whole = {part["subject"]: part["outcome"] for part in checks["disk_room"]["subjects"]}
    assert whole == {"node-1": "skip", "node-2": "skip"}, "node 0 was not asked"
    assert told["measured"]["platform"]["container"] == "ta-1, ta-2"
    assert "disk_room was being made" in errors and told["measured"]["how"] == "lost"
    kept = judge(checked.measured.read(run), book.load())
    assert {check.name: check.outcome for check in kept.checks} == {
        n: c["outcome"] for n, c in checks.items()
    }


def test_all_nodes_must_be_well(tmp_path):
    run = begun(tmp_path, "ta-1", "ta-2", cluster_id="cu-1", num_nodes=2)
    for name in ("ta-1", "ta-2"):
        (run / "attempts" / name / saving.NAME).write_bytes(encode(report(GOOD)))
    found = judge(checked.find(run), book.load())
    assert (found.outcome, found.exit_code, found.measured.how) == ("pass", 0, "ended")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("--gpu", "H100:4", "--nodes", "2"), "2 nodes are whole nodes"),
        (("--gpu", "H100:8", "--rdma"), "ask for --nodes 2"),
        (("--gpu", "H100:8", "--", "torchrun", "--nnodes", "2", "train.py"), "write --nodes 2"),
    ],
)
def test_nodes_that_modal_would_not_give_are_refused(tmp_path, words, refusal):
    assert refusal in call(tmp_path, "preflight", "--dry-run", *words).output


# On the plane


def start(plane, tmp_path, *words):
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "diagnose", "modal", *words],
        cwd=tmp_path, env=plane.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_what_is_never_scheduled_is_dropped_and_unknown(plane, tmp_path):
    process = start(plane, tmp_path, "preflight", "--fast", "--wait", "1s")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 3 and not out, errors
    assert "no container began within 00:01; Modal was asked to end it" in errors
    [run] = (tmp_path / "runs").iterdir()
    assert f"diagnose modal collect {run.name}" in errors
    assert manifest.read(run).outcome == "terminated"


@pytest.mark.slow
def test_ctrl_c_ends_the_checks_there_and_shows_what_there_is(plane, tmp_path, wait):
    before = set(plane.ask("tell")["calls"])
    process = start(
        plane, tmp_path, "preflight", "--only", "ranks_start,limits", "--format", "json", "--", *TORCHRUN
    )
    wait(lambda: set(plane.ask("tell")["calls"]) - before)
    [call_id] = set(plane.ask("tell")["calls"]) - before
    task = plane.ask("start", call=call_id)["task"]
    lines = f"/{task}/{saving.LINES}"
    wait(lambda: any(lines in path for path in plane.ask("tell")["volumes"].get("diagnose", {})))
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    told = json.loads(out)
    assert told["measured"]["how"] == "interrupted" and told["measured"]["platform"]["container"] == task
    assert told["summary"]["pass"], "the limits were read"


@pytest.mark.slow
def test_the_gate_stops_a_launch_and_the_verdict_says_so(plane, tmp_path):
    (tmp_path / "train.py").write_text(f"open({str(tmp_path / 'started')!r}, 'w')\n")
    process = start(
        plane,
        tmp_path,
        "launch",
        "--preflight",
        "fast",
        "--workdir",
        str(tmp_path),
        "--",
        "python",
        "train.py",
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    task = plane.ask("start", env={"CUDA_VISIBLE_DEVICES": "0,0"})["task"]
    assert plane.ask("wait", task=task)["code"] == 0
    process = start(plane, tmp_path, "collect", "--format", "json")
    out, errors = process.communicate(timeout=120)
    verdict = json.loads(out)
    assert [cause["failure"] for cause in verdict["causes"]] == ["preflight_failed"]
    assert verdict["symptom"] == "will_not_start" and "exit code 1: a check failed" in errors
    assert not (tmp_path / "started").exists()

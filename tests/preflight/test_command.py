"""`diagnose preflight` as people call it, and the gate before a run; one of them is real."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from diagnose.cli import _run
from diagnose.cli.preflight import command
from diagnose.cli.run import command as run_command
from diagnose.preflight import running

PROBE = """
import fcntl, os, sys, termios, time
names = [name for name in sys.argv[1:] if name in {"shared_memory", "open_files", "disk_room"}]
print('{"event":"checks.begun","node":"n","time":1.0,"machine":{"kernel":"linux"},"target":{}}')
size = os.environ.get("SHM", "8589934592")
print('{"event":"check.made","check":"shared_memory","measurements":[{"subject":"/dev/shm","where":"statvfs",'
      '"values":{"size_bytes":%s}}]}' % size, flush=True)
if "CTRL_C" in os.environ:
    while fcntl.ioctl(1, termios.FIONREAD, bytes(4)) != bytes(4):
        time.sleep(0.01)
    time.sleep(0.3)  # what is read is also kept
    os.kill(os.getppid(), 2)
    time.sleep(30)
print('{"event":"checks.ended","how":"ended","took_s":0.1}')
"""
ONE = ["--only", "shared_memory"]


def call(tmp_path, *words, main=command):
    return CliRunner().invoke(main, [*words], env={"DIAGNOSE_ROOT": str(tmp_path / "runs")})


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """A probe that answers at once."""
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setattr(running, "PROBE", [sys.executable, str(tmp_path / "probe.py")])


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """What the real command printed as JSON, and where it was kept."""
    top = tmp_path_factory.mktemp("real")
    done = call(top, "--fast", "--format", "json", "--", "torchrun", "--nproc-per-node", "8", "train.py")
    return done, top


def test_the_contract_of_json_and_what_is_saved(real):
    done, top = real
    told = json.loads(done.stdout)
    assert {"id", "outcome", "reason"} <= told["checks"][0].keys()
    assert done.exit_code == told["exit_code"] == {"fail": 1, "warn": 4, "pass": 0}[told["outcome"]]
    assert told["measured"]["target"]["num_ranks"] == 8
    [saved] = (top / "runs").glob("preflight-*/preflight.json")
    assert json.loads(saved.read_text())["checks"] == told["checks"]


@pytest.mark.parametrize("form", ["terminal", "markdown", "junit"])
def test_what_was_measured_is_judged_again_and_shown_in_every_form(real, form):
    done, top = real
    [saved] = (top / "runs").glob("preflight-*/preflight.json")
    again = call(top, "--from", str(saved), "--format", form, "-v")
    assert again.exit_code == done.exit_code
    ids = {check["id"] for check in json.loads(done.stdout)["checks"]}
    assert all(name in again.stdout for name in ids)
    if form == "junit":
        suite = ElementTree.fromstring(again.stdout)
        assert int(suite.get("tests", "0")) == len(ids)
    assert list((top / "runs").glob("preflight-*")) == [saved.parent]


def test_a_good_one_becomes_the_baseline_and_later_ones_tell_what_differs(tmp_path, probe, monkeypatch):
    assert call(tmp_path, *ONE, "--baseline", "save").exit_code == 0
    damaged = tmp_path / "runs/preflight-damaged/preflight.json"  # newer, and no reason to look no further
    damaged.parent.mkdir()
    damaged.write_text("{")
    monkeypatch.setenv("SHM", "67108864")
    for name in ("baseline", "last"):
        done = call(tmp_path, *ONE, "--compare", name)
        assert done.exit_code == 1 and "size_bytes was 8.0 GiB, is 64.0 MiB" in done.stdout
    refused = call(tmp_path, *ONE, "--baseline", "save")
    assert refused.exit_code == 1 and "no baseline was saved" in refused.output
    assert "nothing since baseline" not in call(tmp_path, *ONE, "--compare", "baseline").stdout


def test_ctrl_c_leaves_an_honest_report(tmp_path, probe, monkeypatch):
    monkeypatch.setenv("CTRL_C", "once the first check is made")
    done = call(tmp_path, "--only", "D01,D04", "--format", "json")
    told = json.loads(done.stdout)
    assert done.exit_code == 130 and told["measured"]["how"] == "interrupted" and told["outcome"] == "unknown"
    assert {check["id"]: check["outcome"] for check in told["checks"]} == {"D01": "pass", "D04": "skip"}
    assert len(list((tmp_path / "runs").glob("*/preflight.json"))) == 1


def test_a_probe_that_dies_is_no_health(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "PROBE", [sys.executable, "-c", "import os; os._exit(9)"])
    told = json.loads(call(tmp_path, *ONE, "--format", "json").stdout)
    assert told["summary"] == {"pass": 0, "skip": 1, "error": 0, "warn": 0, "fail": 0}
    assert (told["outcome"], told["exit_code"]) == ("unknown", 3)


@pytest.mark.parametrize(
    "words",
    [
        ["--only", "nothing"],
        ["--only", "D01", "--skip", "D01"],
        ["--gpu", "!"],
        ["--set", "checkpoint_bytes=big"],
        ["--set", "no_such_thing=1"],
        ["--exclude-cost", "money"],
        ["--compare", "no_such_run"],
    ],
)
def test_wrong_words_are_refused(tmp_path, words):
    done = call(tmp_path, *words)
    assert done.exit_code in {1, 2} and not done.stdout and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"measured":{"checks":[{"check":7}]}}', "\x00\xff"])
def test_a_file_that_is_none_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "x").write_text(text)
    done = call(tmp_path, "--from", str(tmp_path / "x"))
    assert done.exit_code != 0 and "neither" in done.output and "Traceback" not in done.output


def test_a_file_without_end_is_not_read_to_its_end(tmp_path):
    done = call(tmp_path, "--from", "/dev/zero")
    assert done.exit_code != 0 and "no pre-flight report is so large" in done.output


def test_one_that_was_cut_short_is_not_the_last_good_one(tmp_path, probe):
    assert call(tmp_path, *ONE).exit_code == 0
    kept = next((tmp_path / "runs").glob("*/preflight.json"))
    kept.write_bytes(kept.read_bytes().replace(b'"how": "ended"', b'"how": "interrupted"'))
    done = call(tmp_path, *ONE, "--compare", "last")
    assert done.exit_code != 0 and "nothing to compare with" in done.output


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        ([sys.executable, "-c", "import os; os._exit(9)"], "its probe ended before"),
        (["/no/such/python"], "the checks cannot be started"),
    ],
    ids=["dies", "cannot start"],
)
def test_a_gate_that_can_tell_nothing_says_so_and_stops_nothing(tmp_path, monkeypatch, capfd, probe, words):
    monkeypatch.setattr(running, "PROBE", probe)
    asked = _run.Wish(**dict.fromkeys(_run.Wish._fields, ""))._replace(preflight="fast", run_dir=None)
    report = _run.checked(None, ["true"], asked._replace(root=str(tmp_path)))
    assert report is None or report.exit_code == 3
    errors = capfd.readouterr().err
    assert f"could not tell: {words}" in errors and "is started all the same" in errors


def test_a_ctrl_c_while_it_is_imported_is_one_line(tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from diagnose.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "diagnose: interrupted\n")


def test_a_gate_that_fails_starts_nothing(tmp_path, probe, monkeypatch):
    monkeypatch.setenv("SHM", "67108864")
    mark = tmp_path / "started"
    done = call(tmp_path, "--preflight", "fast", "--", "touch", str(mark), main=run_command)
    assert done.exit_code == 1 and "not started" in done.output and "64 MiB" in done.output
    assert not mark.exists()

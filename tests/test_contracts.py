"""The contracts as JSON Schemas: made from the types, stored, and held against what real runs write."""

import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from diagnose import playbook
from diagnose.cli.schema import command
from diagnose.cli.show import command as show
from diagnose.contract import EventLine, Manifest, RunRecord
from diagnose.schemas import TYPES, encode, schema

HERE = Path(__file__).parent


def stored(name):
    return msgspec.json.decode((HERE / "schemas" / f"{name}.json").read_bytes())


def check(name, value):
    jsonschema.validate(value, stored(name), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", TYPES)
def test_the_stored_schema_is_that_of_the_type(name):
    path = HERE / "schemas" / f"{name}.json"
    if os.environ.get("REWRITE_GOLDENS"):
        path.write_bytes(encode(name))
    assert path.read_bytes() == encode(name) and stored(name) == schema(name)


def test_the_command_knows_every_schema():
    assert set(command.params[0].type.choices) == set(TYPES)


def test_every_failure_of_the_playbook_is_valid():
    for path in (playbook.root() / "failures").glob("*.toml"):
        check("failure", msgspec.toml.decode(path.read_bytes()))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory as a real run leaves it: a program that takes a rank's name, and fails."""
    top = tmp_path_factory.mktemp("run")
    (top / "job.py").write_text("import time\ntime.sleep(2)\nraise ValueError('bad batch')\n")
    environ = {**os.environ, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    command = [
        sys.executable,
        "-P",
        "-m",
        "diagnose",
        "run",
        "--root",
        "runs",
        "--lane",
        "benchmark",
        "--",
        sys.executable,
        "job.py",
    ]
    done = subprocess.run(command, cwd=top, env=environ, capture_output=True)
    assert done.returncode == 1, done.stderr
    (found,) = (top / "runs").iterdir()
    return found


@pytest.mark.parametrize("name", ["verdict", "manifest", "record"])
def test_what_a_run_writes_is_valid(run, name):
    check(name, msgspec.json.decode((run / f"{name}.json").read_bytes()))


def test_every_event_line_of_a_run_is_valid_and_decodes_strictly(run):
    writers = set()
    for path in run.glob("attempts/*/events/*.jsonl"):
        writers.add(path.stem.rpartition("-")[0])
        for line in path.read_bytes().splitlines():
            check("event", msgspec.json.decode(line))
            event = msgspec.json.decode(line, type=EventLine)
            assert event.v == 1 and event.event.count(".") == 1
            assert event.run == run.name and event.attempt == path.parts[-3]
    assert {"run", "agent", "collector", "rank-00000"} <= writers


def test_the_record_of_a_run_says_what_was_run_and_how_it_ended(run):
    told = msgspec.json.decode((run / "record.json").read_bytes(), type=RunRecord)
    assert (told.lane, told.exit_path, told.end_marker, told.exit_code) == ("benchmark", "exception", True, 1)
    assert told.arguments == [sys.executable, "job.py"] and told.git.reason
    assert {"torch", "python"} & told.versions.keys() and told.ranks[0].exit_code == 1
    assert [phase.phase for phase in told.start] == ["schedule", "boot"]


@pytest.mark.parametrize("has_record", [True, False])
def test_show_sorts_a_run_first_and_a_record_that_is_lost_is_made_anew(run, has_record):
    before = (run / "record.json").read_bytes()
    if not has_record:
        (run / "record.json").unlink()
    done = CliRunner().invoke(show, [str(run), "--format", "json"])
    verdict = msgspec.json.decode(done.stdout)
    check("verdict", verdict)
    told = verdict["sorting"]
    assert (told["lane"], told["stage"], told["is_receipt"]) == ("benchmark", "image", False)
    assert "0 steps of at least 3" in told["missing"] and "no end marker" not in told["missing"]
    assert (run / "record.json").read_bytes() == before
    lines = CliRunner().invoke(show, [str(run)]).stdout.splitlines()
    places = [
        next(i for i, text in enumerate(lines) if f"  {label} " in text)
        for label in ("LANE", "STAGE", "CAUSE")
    ]
    assert places == sorted(places) and any("not a receipt: 0 steps" in text for text in lines)


def test_the_verdict_on_a_run_names_its_exception(run):
    verdict = msgspec.json.decode((run / "verdict.json").read_bytes())
    assert [cause["failure"] for cause in verdict["causes"]] == ["rank_exception"]
    assert verdict["causes"][0]["ranks"] == [0]


def test_readers_pass_over_keys_they_do_not_know():
    line = (
        b'{"v":2,"time":1.5,"event":"a.b","source":"s","run":"","attempt":"1","node":"","level":"","new":{}}'
    )
    assert msgspec.json.decode(line, type=EventLine).event == "a.b"
    manifest = b'{"run":"r","state":"ok","schema":"diagnose/manifest/9","later":1}'
    assert msgspec.json.decode(manifest, type=Manifest).state == "ok"
    assert msgspec.json.decode(b'{"run":"r","exit_path":"exit","later":[]}', type=RunRecord).run == "r"

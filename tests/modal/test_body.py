"""The body by itself: what it makes of a spec, a container that is used again, and a volume that fails."""

import sys
from pathlib import Path

import pytest

from diagnose import playbook, reader
from diagnose.caching import places
from diagnose.surfaces.modal import body, environ
from diagnose.surfaces.modal.push import Volume

TOP = str(Path(__file__).parents[2])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A place for the body to run in; files of its volume by their paths."""
    monkeypatch.setattr(body.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", TOP)
    monkeypatch.setenv("MODAL_TASK_ID", "ta-7")
    monkeypatch.setattr(body.Attempt, "capture", lambda _: None)  # test_path.py has it in a container
    files = {}
    monkeypatch.setattr(body, "uploader", lambda *_: Volume(lambda found: files.update(found), files.pop))
    return files


def spec(*command, **more):
    return {"run": "r-1", "name": "r", "volume": "v", "command": command, "push_s": 1, **more}


def test_a_container_that_is_used_again_begins_another_attempt(here):
    for number, name in ((3, "ta-7"), (0, "ta-7.2")):
        told = body.job(spec("sh", "-c", f"exit {number}"))
        assert (told["attempt"], told["exit_code"], told["pushed"]) == (name, number, "whole"), told
        assert told["status"] == ("error" if number else "ok")
    assert {path.split("/")[1] for path in here} == {"ta-7", "ta-7.2"}


@pytest.mark.parametrize(
    "wrong", [{"run": "../x"}, {"run": ""}, {"workdir": "/not/here"}, {"command": None}], ids=str
)
def test_whatever_is_wrong_with_a_spec_is_told_not_raised(here, wrong):
    told = body.job({**spec("true"), **wrong})
    assert told["status"] == "error" and told["kind"] == "body_failed" and told["text"], told


def test_a_volume_that_takes_nothing_keeps_no_command_from_running(here, monkeypatch, tmp_path):
    def refuse(found):
        raise OSError("no route to host")

    monkeypatch.setattr(body, "uploader", lambda *_: Volume(refuse, refuse))
    told = body.job(spec(sys.executable, "-c", f"open({str(tmp_path / 'done')!r}, 'w')"))
    assert (tmp_path / "done").exists() and told["status"] == "ok"
    assert told["pushed"] == "in part" and told["push_failure"] == "OSError: no route to host"


def test_what_runs_is_our_own_command_with_what_was_asked(here):
    words = body.Attempt(
        spec("a", "--b", stall_after_s=30.0, on_stall="stop"), body.uploader("v", "r")
    ).command()
    assert words[1:5] == ["-P", "-m", "diagnose", "run"] and words[-3:] == ["--", "a", "--b"]
    assert words[words.index("--stall-after") + 1] == "30.0" and words[words.index("--attempt") + 1] == "ta-7"


class Mounted:
    """Modal's client, of which the body asks one thing on its second way out."""

    def __init__(self):
        self.committed, self.is_refusing = [], False
        self.Volume = self

    def from_name(self, name):
        return type("Volume", (), {"commit": lambda _: self.commit(name)})()

    def commit(self, name):
        if self.is_refusing:
            raise ConnectionError("no route")
        self.committed.append(name)


@pytest.fixture
def mounted(here, monkeypatch, tmp_path):
    """A volume that takes nothing, and its mount."""

    def refuse(found):
        raise OSError("no route to host")

    monkeypatch.setattr(body, "uploader", lambda *_: Volume(refuse, refuse))
    client = Mounted()
    monkeypatch.setitem(sys.modules, "modal", client)
    (tmp_path / "mount").mkdir()
    return client, tmp_path / "mount"


def test_what_the_volume_does_not_take_goes_out_by_its_mount(mounted):
    client, mount = mounted
    told = body.job(spec("sh", "-c", "echo hello", mount=str(mount)))
    assert (told["status"], told["pushed"], client.committed) == ("ok", "by the mount", ["v"])
    assert (mount / "r-1/attempts/ta-7/logs/launcher.log").read_text() == "hello\n"
    assert list((mount / "r-1/attempts/ta-7/events").glob("container-*.jsonl"))


@pytest.mark.parametrize("how", ["no commit", "no mount", "no folder given"])
def test_where_the_mount_fails_too_the_evidence_is_told_to_be_out_in_part(mounted, how):
    client, mount = mounted
    client.is_refusing = how == "no commit"
    place = {"no commit": str(mount), "no mount": "/not/here", "no folder given": None}[how]
    told = body.job(spec("true", mount=place))
    assert told["pushed"].startswith("in part") and told["push_failure"] == "OSError: no route to host"
    assert ("no route" in told["pushed"]) == client.is_refusing


def test_the_caches_of_compilers_lie_on_the_volume_that_was_asked_for(here):
    asked = spec("a", cache="/compile-cache", cache_gate=True, lane="benchmark")
    words = body.Attempt(asked, body.uploader("v", "r")).command()
    assert "--cache-gate" in words[: words.index("--")] and words[words.index("--lane") + 1] == "benchmark"
    assert set(environ.cache_places("/compile-cache")) == {"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"}
    assert environ.cache_places("") == {}
    found = places.locate({"HOME": "/root", **environ.cache_places("/compile-cache")})
    assert found.inductor.parent == Path("/compile-cache") and found.triton is None


def test_on_a_cold_cache_volume_several_ranks_do_not_start_and_the_volume_tells_why(here, tmp_path):
    told = body.job(spec("touch", str(tmp_path / "started"), cache=str(tmp_path / "cache"), cache_gate=True))
    assert (told["status"], told["exit_code"]) == ("error", 126) and not (tmp_path / "started").exists()
    [line] = [line for data in here.values() for line in data.splitlines() if b'"cache.gated"' in line]
    assert b"0 entries, 5 are needed" in line and b'"is_open":false' in line
    for path, data in here.items():
        (tmp_path / "volume" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "volume" / path).write_bytes(data)
    verdict = reader.examine(tmp_path / "volume", "r-1", playbook.load())
    assert verdict.symptom == "will_not_start"
    assert [cause.failure for cause in verdict.causes] == ["cache_gate_closed"]

"""The gate: what a lane's cache must hold, who says so, and what is not known."""

import base64
import fcntl
import json
import os
import sys
import time

import msgspec
import pytest
from click.testing import CliRunner

from diagnose import manifest
from diagnose.caching import gate, notes, places, running, seed
from diagnose.caching.manifest import Provenance, Refused, differences
from diagnose.caching.places import Measured, Part
from diagnose.cli import cache as commands
from diagnose.surfaces.local import NotStarted
from probes import cache, procfs
from tests.caching.conftest import HERE, content

OTHER = msgspec.structs.replace(HERE, num_gpus=4)


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    """The probe is asked in this process: starting one is dear."""

    def asked(probe, arguments, limit_s):
        folders = zip(arguments[::2], arguments[1::2], strict=True)
        locks = procfs.read("/proc/locks")
        told = [cache.measure(part.strip("-"), folder, time.time(), locks) for part, folder in folders]
        return [{"event": "cache.read", **one} for one in told], ""

    monkeypatch.setattr(places, "asked", asked)


def holding(num: int, size: int = 1 << 30, error: str = "") -> Measured:
    part = Part(part="inductor", folder="/c", kinds={"graph": {"entries": num, "files": num, "bytes": size}})
    return Measured(parts=[part], num_entries=num, num_bytes=size, error=error)


def note(cold, lane="training", num=100, of=HERE, when=1.0) -> None:
    cold.inductor.mkdir(parents=True, exist_ok=True)
    notes.note_good(cold, lane, notes.Good(when, "train-7", num, 1000, of))


def test_with_nothing_learnt_only_a_nearly_empty_cache_is_refused(cold, limits):
    least = gate.threshold(cold, "training", limits)
    assert least.learnt_from.startswith("nothing learnt")
    assert gate.decide(holding(0), least, None).is_open is False
    assert gate.decide(holding(4), least, None).is_open is False
    assert gate.decide(holding(5), least, None).is_open is True
    assert gate.decide(holding(500, size=99_999), least, None).is_open is False


def test_a_lane_needs_a_share_of_what_its_last_good_run_left(cold, limits):
    note(cold)
    note(cold, "benchmark", num=10)
    least = gate.threshold(cold, "training", limits)
    assert (least.num_entries, least.num_bytes) == (80, 800) and "train-7" in least.learnt_from
    assert gate.decide(holding(79), least, HERE).is_open is False
    assert gate.decide(holding(80), least, HERE).is_open is True
    assert gate.threshold(cold, "benchmark", limits).num_entries == 8
    assert gate.threshold(cold, "other", limits).num_entries == limits.min_entries


def test_what_was_seeded_since_counts_and_so_does_a_later_good_run(good, cold, limits):
    seed.seed(cold, [good], HERE, limits)
    assert str(good) in gate.threshold(cold, "training", limits).learnt_from
    note(cold, when=1.0)
    assert str(good) in gate.threshold(cold, "training", limits).learnt_from
    note(cold, when=1e12)
    assert "train-7" in gate.threshold(cold, "training", limits).learnt_from


def test_the_operators_own_number_wins(cold, limits):
    note(cold)
    assert gate.threshold(cold, "training", limits, num_entries=3).num_entries == 3


def test_a_large_cache_of_something_else_is_none(cold, limits):
    note(cold)
    least = gate.threshold(cold, "training", limits)
    found = gate.decide(holding(1000), least, OTHER)
    assert (
        found.is_open is False and found.reason == "it was made for something else: num_gpus 8 there, 4 here"
    )
    assert gate.decide(holding(1000), least, OTHER, ["num_gpus"]).is_open is True


def test_what_cannot_be_read_or_found_out_is_not_told(cold, limits, monkeypatch):
    note(cold)
    least = gate.threshold(cold, "training", limits)
    assert gate.decide(holding(0, error="/c: no answer"), least, None).is_open is None

    def nobody(*_):
        raise Refused("versions and GPUs cannot be found out")

    monkeypatch.setattr(places, "provenance", nobody)
    assert gate.ask(holding(100), least, {}, sys.executable).is_open is None


def test_a_spoiled_note_is_none(cold, limits):
    cold.inductor.mkdir(parents=True)
    for data in (b"", b"{", b'{"training": 1}', b"[" * 10_000):
        (cold.inductor / notes.GOOD).write_bytes(data)
        (cold.inductor / notes.SEED).write_bytes(data)
        assert gate.threshold(cold, "training", limits).num_entries == limits.min_entries
    (cold.inductor / notes.SEED).unlink()
    os.mkfifo(cold.inductor / notes.SEED)  # is not waited for
    assert gate.threshold(cold, "training", limits).num_entries == limits.min_entries


@pytest.fixture
def keeper(cold, monkeypatch):
    """The gate of a run of 8 ranks on the cold cache; what it says and prints."""
    said: list[tuple[str, dict]] = []
    told: list[str] = []
    environ = {"TORCHINDUCTOR_CACHE_DIR": str(cold.inductor), "TRITON_CACHE_DIR": str(cold.triton), **PATH}
    monkeypatch.setattr(places, "provenance", lambda *_: HERE)

    def make(*words: str):
        command = words or ("torchrun", "--nproc-per-node", "8", "train.py")
        one = running.Gatekeeper(
            "training", command, environ, lambda e, level="info", **d: said.append((e, d)), told.append
        )
        return one, said, told

    return make


PATH = {"PATH": os.environ["PATH"]}


def test_several_ranks_do_not_start_cold_and_one_may(keeper, tmp_path):
    one, said, _ = keeper()
    with pytest.raises(
        NotStarted, match=r"too cold for several ranks: .* 0 entries, 5 are needed"
    ) as refused:
        one.admit()
    assert refused.value.code == 126
    assert [(kind, data.get("moment")) for kind, data in said] == [("cache.read", "start")] * 2 + [
        ("cache.gated", None)
    ]
    one, _, _ = keeper("env", f"TORCHINDUCTOR_CACHE_DIR={tmp_path}/own", "torchrun", "train.py")
    assert str(one.cache.inductor) == f"{tmp_path}/own"  # where the ranks look
    one, _, told = keeper("torchrun", "--nproc-per-node=1", "train.py")
    one.admit()
    assert "one rank may warm it" in told[0]


def test_a_good_run_teaches_its_lane_and_a_bad_one_does_not(keeper, good, cold, limits):
    seed.seed(cold, [good], HERE, limits)
    for code, is_good in ((1, True), (0, False)):
        one, _, _ = keeper()
        one.admit()
        one.ended(code)
        one.learn(is_good, "train-8")
        assert not notes.goods(cold)
    one, said, _ = keeper()
    one.admit()
    one.ended(0)
    one.learn(True, "train-9")
    assert notes.goods(cold)["training"].run == "train-9" and notes.goods(cold)["training"].num_entries == 5
    assert [data["moment"] for kind, data in said[-2:]] == ["end", "end"]


# The commands


@pytest.fixture
def call(cold, monkeypatch):
    """`call("gate", ...)`: the command on the cold cache; its exit code and output."""
    monkeypatch.setattr(places, "provenance", lambda *_: HERE)

    def run(*words: object):
        where = ["--inductor", str(cold.inductor), "--triton", str(cold.triton)]
        done = CliRunner().invoke(commands.command, [str(words[0]), *where, *map(str, words[1:])])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return run


def test_from_a_cold_start_to_a_verified_cache(call, good, cold):
    code, text = call("gate")
    assert code == 1 and text.startswith("gate      closed: 0 entries, 5 are needed")
    assert call("verify")[0] == 3
    assert call("capture", good.parent) == (
        1,
        f"diagnose: refused: {cold.inductor}: nothing compiled is in it\n",
    )
    code, text = call("seed", "--from", good.parent / "none", "--from", good.parent)
    assert code == 0 and "refused" in text and f"seeded    {cold.inductor}" in text
    assert call("gate")[0] == 0 and call("verify")[0] == 0
    code, text = call("seed", "--from", good.parent)
    assert code == 0 and "something is in it already" in text
    code, text = call("capture", good.parent, "--lane", "benchmark", "--format", "json")
    told = json.loads(text)
    assert code == 0 and told["schema"] == "diagnose/cache/1" and told["manifest"]["lane"] == "benchmark"
    code, text = call("verify", told["archive"])
    assert code == 0 and "5 entries" in text and "NVIDIA H200" in text
    (cold.inductor / "7s" / "c7s1.main.so").write_bytes(b"else")
    code, text = call("verify")
    assert code == 1 and "changed   inductor/7s/c7s1.main.so" in text


def test_what_does_not_fit_is_told_with_its_reason(call, good, cold, monkeypatch):
    monkeypatch.setattr(places, "provenance", lambda *_: OTHER)
    code, text = call("seed", "--from", good)
    assert code == 1 and "num_gpus 8 there, 4 here" in text and not content(cold.inductor)
    assert call("verify", good)[0] == 1
    assert call("seed", "--from", good, "--allow", "num_gpus")[0] == 0
    assert call("gate")[0] == 1 and call("gate", "--allow", "num_gpus")[0] == 0


def test_places_may_stand_in_the_environment(call, good, monkeypatch):
    assert call("seed")[0] == 2
    assert call("seed", "--from", good, "--allow", "colour")[0] == 2
    monkeypatch.setenv("DIAGNOSE_CACHE_FROM", f"/none:{good.parent}")
    assert call("seed")[0] == 0


def test_status_warns_of_what_is_odd(call, good, cold):
    assert call("status")[0] == 0
    call("seed", "--from", good)
    assert call("status")[0] == 0
    (cold.inductor / "fv").chmod(0o777)
    code, text = call("status")
    assert code == 4 and f"warning   {cold.inductor}/fv: everyone may write it" in text
    code, text = call("status", "--format", "json")
    assert json.loads(text)["cache"]["num_entries"] == 5
    assert json.loads(text)["seeded_from"] == str(good)


def test_a_cache_that_is_compiled_into_is_left_alone(call, good, cold, monkeypatch):
    call("seed", "--from", good)
    (cold.inductor / "locks").mkdir()
    with (cold.inductor / "locks" / "x.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for words in (("capture", good.parent), ("seed", "--from", good, "--replace")):
            code, text = call(*words)
            assert code == 1 and f"process {os.getpid()} compiles into it" in text


def test_only_a_run_that_ended_well_is_captured_from(call, good, tmp_path):
    call("seed", "--from", good)
    run = tmp_path / "runs" / "train-1"
    run.mkdir(parents=True)
    manifest.begin(run, "train-1", name="train", lane="benchmark")
    words = ("capture", tmp_path / "store", "--root", run.parent, "--run", "train")
    assert "did not end well: launching" in call(*words)[1]
    manifest.advance(run, "ok")
    code, text = call(*words)
    assert code == 0 and "lane benchmark, run train-1" in text
    assert "80% of what the good run train-1 left" in call("gate", "--lane", "benchmark")[1]


def test_mega_cache_is_told_and_not_seeded(call, tmp_path):
    def text(word: str) -> bytes:
        body = base64.b64encode(word.encode())
        return len(body).to_bytes(8, "big") + body

    body = (1).to_bytes(8, "big") + text("inductor") + (2).to_bytes(8, "big")
    body += (text("fabc") + (3).to_bytes(8, "big") + b"abc") * 2
    (tmp_path / "mega.bin").write_bytes(b"sum!" + body)
    code, printed = call("verify", tmp_path / "mega.bin")
    assert code == 0 and "inductor" in printed and "2 entries" in printed
    assert call("seed", "--from", tmp_path / "mega.bin")[0] == 1
    for cut in (0, 5, 13, 30, len(body)):
        (tmp_path / "mega.bin").write_bytes((b"sum!" + body)[:cut])
        assert call("verify", tmp_path / "mega.bin")[0] == 1


def test_a_real_probe_measures_and_one_that_does_not_answer_is_an_error(warm, monkeypatch):
    monkeypatch.undo()
    assert places.measure(warm).num_entries == 5 and not places.measure(warm).error
    assert "no answer within" in places.measure(warm, limit_s=0.0).error
    found = places.provenance({"MODAL_IMAGE_ID": "im-9"}, sys.executable)
    assert found.image == "im-9" and found.python.startswith("3.") and found.cpu
    monkeypatch.setattr(places, "PROVENANCE_S", 0.0)
    with pytest.raises(Refused, match="no answer"):
        places.provenance({}, sys.executable)


def test_what_is_not_known_on_both_sides_is_no_difference():
    assert differences(Provenance(), Provenance(), {}) == []

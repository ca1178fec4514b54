"""What the standard analyser gets wrong: files that are odd, cut, foreign or hostile."""

import builtins
import json
import os
import pickle

import pytest

from diagnose.verdict import encode
from tests.incidents.handmade import Job, as_json
from tests.incidents.pictures import cascade, late, said, verdict


def test_1_gloo_dumps_with_an_empty_pg_config_are_read(tmp_path):
    job = Job(4, "gloo")
    job.group("pair", [0, 1], "1")
    for _ in range(3):
        job.call("pair")
        job.call("world")
    job.call("world", ranks=[0, 1, 3], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


@pytest.mark.parametrize("left", [0, 1, 500])
def test_10_a_cut_file_is_named_and_the_rest_is_read(tmp_path, left):
    late(8, 5).write(tmp_path)
    broken = tmp_path / "nccl_trace_rank_2"
    broken.write_bytes(broken.read_bytes()[:left])
    told = verdict(tmp_path)
    assert {rank for cause in told.causes for rank in cause.ranks} - {2} == {5}
    assert "collective_not_joined" in {cause.failure for cause in told.causes}
    assert 2 in told.coverage["flight_recorder"].refused


def test_25_mixed_versions_are_read_each_by_its_own(tmp_path):
    job = late(4, 2)
    job.write(tmp_path)
    for rank, version in ((0, "2.4"), (1, "2.9"), (3, "2.99")):
        dump = job.dump(rank) | {"version": version}
        if version == "2.9":
            dump["nccl_version"] = dump.pop("comm_lib_version")
        (tmp_path / f"nccl_trace_rank_{rank}").write_bytes(pickle.dumps(dump, protocol=2))
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_27_dumps_are_told_by_what_they_hold(tmp_path):
    job = late(4, 2)
    for rank, dump in job.dumps():
        folder = tmp_path / f"node-{rank // 2}"
        folder.mkdir(exist_ok=True)
        (folder / f"trace_host-a17_rank_{rank}").write_bytes(pickle.dumps(dump, protocol=2))
    (tmp_path / "empty").mkdir()
    (tmp_path / "node-0" / "nccl_trace_rank_0.json").write_text("[1, 2]")
    (tmp_path / "node-0" / "README").write_text("dumps of the night\n")
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_27_a_folder_without_dumps_has_no_cause(tmp_path):
    assert said(tmp_path) == {}


def test_28_nothing_optional_is_needed(tmp_path, monkeypatch):
    late(4, 2).write(tmp_path)
    real = builtins.__import__

    def only(name, *rest, **more):
        assert name.partition(".")[0] not in ("tabulate", "torch", "numpy"), name
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", only)
    assert json.loads(encode(verdict(tmp_path)))["causes"][0]["ranks"] == [2]


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_30_a_malicious_pickle_is_refused_and_the_rest_is_read(tmp_path, monkeypatch):
    late(4, 2).write(tmp_path)
    monkeypatch.chdir(tmp_path)
    dump = late(4, 2).dump(1) | {"pg_config": Malicious()}
    (tmp_path / "nccl_trace_rank_1").write_bytes(pickle.dumps(dump, protocol=2))
    told = verdict(tmp_path)
    assert not (tmp_path / "executed").exists()
    assert 1 in told.coverage["flight_recorder"].refused
    assert {rank for cause in told.causes for rank in cause.ranks} - {1} == {2}


def test_30_text_in_place_of_ranks_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = late(4, 2)
    job.write(tmp_path)
    dump = job.dump(1)
    dump["pg_config"]["0"]["ranks"] = "__import__('os').mkdir('executed')"
    (tmp_path / "nccl_trace_rank_1").write_bytes(pickle.dumps(dump, protocol=2))
    assert said(tmp_path) == {"collective_not_joined": [2]}
    assert not (tmp_path / "executed").exists()


def test_json_dumps_say_the_same_as_pickles(tmp_path):
    job = cascade()
    for rank, dump in job.dumps():
        (tmp_path / f"rank{rank}.json").write_bytes(as_json(dump))
    assert said(tmp_path) == {"collective_not_joined": [5]}

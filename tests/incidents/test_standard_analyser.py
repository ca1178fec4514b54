"""The cases that the standard analyser (`torchfrtrace` of torch 2.13) gets wrong, or is right about by luck.

Each job is written call by call. The numbers are those of the reference's table.
"""

import builtins
import json
import os
import pickle
import random
from pathlib import Path

import pytest

from diagnose.bundle import members
from diagnose.pipeline import diagnose_bundle
from diagnose.verdict import encode
from tests.incidents.handmade import Job, as_json


def verdict(folder):
    return diagnose_bundle(str(folder), members(str(folder)))


def said(folder):
    """{failure: ranks} of the causes."""
    return {cause.failure: cause.ranks for cause in verdict(folder).causes}


def world(num_ranks, library="nccl", num_calls=6, **more):
    """A job whose first calls went well on all ranks."""
    job = Job(num_ranks, library, **more)
    for _ in range(num_calls):
        job.call("world")
    return job


def but(num_ranks, *ranks):
    return [rank for rank in range(num_ranks) if rank not in ranks]


def late(num_ranks, rank, library="nccl", **more):
    """A job where one rank never launches the last call."""
    job = world(num_ranks, library, **more)
    job.call("world", ranks=but(num_ranks, rank), done=False)
    return job


def test_1_gloo_dumps_with_an_empty_pg_config_are_read(tmp_path):
    job = Job(4, "gloo")
    job.group("pair", [0, 1], "1")
    for _ in range(3):
        job.call("pair")
        job.call("world")
    job.call("world", ranks=[0, 1, 3], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_2_a_gloo_straggler_is_missing(tmp_path):
    late(4, 2, "gloo").write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_3_a_dump_taken_after_the_late_rank_came_shows_no_hang(tmp_path):
    world(4, "gloo", num_calls=7).write(tmp_path)
    assert said(tmp_path) == {}


@pytest.mark.parametrize(
    ("wrong", "failure"),
    [
        ({"op": "broadcast"}, "collective_mismatch_op"),
        ({"input_dtypes": ["Double"], "output_dtypes": ["Double"]}, "collective_mismatch_dtype"),
    ],
)
def test_4_the_strict_majority_names_the_wrong_call(tmp_path, wrong, failure):
    job = world(4, "gloo")
    job.call("world", ranks=[0, 2, 3], done=False)
    job.call("world", ranks=[1], done=False, **wrong)
    job.write(tmp_path)
    assert said(tmp_path) == {failure: [1]}


def test_5_a_rank_without_a_file_is_a_suspect_and_the_rest_is_read(tmp_path):
    late(4, 3).write(tmp_path, without=[3])
    [ranks] = said(tmp_path).values()
    assert ranks == [3]


def test_6_a_wrong_dtype_is_named_though_a_victim_left_no_file(tmp_path):
    job = world(4)
    job.call("world", ranks=[0, 1, 2], done=False)
    job.call("world", ranks=[3], done=False, input_dtypes=["Double"], output_dtypes=["Double"])
    job.write(tmp_path, without=[2])
    assert said(tmp_path)["collective_mismatch_dtype"] == [3]
    assert not {0, 1} & {rank for ranks in said(tmp_path).values() for rank in ranks}


def test_7_an_exception_is_the_cause_that_a_rank_is_missing(tmp_path):
    late(4, 3, "gloo").write(tmp_path)
    path = tmp_path / "none_ab12/attempt_0/3/error.json"
    path.parent.mkdir(parents=True)
    stack = 'Traceback (most recent call last):\n  File "t.py", line 3, in step\nValueError: bad batch\n'
    info = {"py_callstack": stack, "timestamp": "1790000000"}
    path.write_text(json.dumps({"message": {"message": "ValueError: bad batch", "extraInfo": info}}))
    assert said(tmp_path) == {"rank_exception": [3]}


@pytest.mark.parametrize("library", ["gloo", "nccl"])
def test_8_two_groups_in_opposite_order_are_one_circle_with_two_call_sites(tmp_path, library):
    job = Job(4, library)
    job.group("pair", [0, 1], "1", "tensor")
    for _ in range(5):
        job.call("pair")
        job.call("world")
    job.call("pair", ranks=[1], done=False, line=71)
    job.call("world", ranks=[0, 2, 3], done=False, line=52)
    job.write(tmp_path)
    told = verdict(tmp_path)
    [cause] = told.causes
    assert (cause.failure, cause.ranks) == ("collective_order_deadlock", [0, 1])
    text = encode(told).decode()
    assert "train.py:71" in text and "train.py:52" in text


def test_8_calls_in_opposite_order_that_all_have_launched_are_a_circle_too(tmp_path):
    """NCCL's host runs ahead: all arrived in both, and nothing completes."""
    job = Job(2)
    job.group("other", [0, 1], "1", "other")
    for _ in range(5):
        job.call("other")
        job.call("world")
    for rank, order in ((0, ("other", "world")), (1, ("world", "other"))):
        for group in order:
            job.call(group, ranks=[rank], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_order_deadlock": [0, 1]}


def test_9_what_is_recorded_of_a_monitored_barrier_accuses_nobody_but_the_late_one(tmp_path):
    world(4, "gloo").write(tmp_path)
    (tmp_path / "rank0.log").write_text(
        "RuntimeError: [Rank 0]: Rank 2 failed to pass monitoredBarrier in 5000 ms\n"
    )
    assert {rank for ranks in said(tmp_path).values() for rank in ranks} <= {2}


@pytest.mark.parametrize("left", [0, 1, 500])
def test_10_a_cut_file_is_named_and_the_rest_is_read(tmp_path, left):
    late(8, 5).write(tmp_path)
    broken = tmp_path / "nccl_trace_rank_2"
    broken.write_bytes(broken.read_bytes()[:left])
    told = verdict(tmp_path)
    assert {rank for cause in told.causes for rank in cause.ranks} - {2} == {5}
    assert "collective_not_joined" in {cause.failure for cause in told.causes}
    assert 2 in told.coverage["flight_recorder"].refused


@pytest.mark.parametrize("seed", range(4))
def test_11_a_size_that_differs_is_named_whatever_the_order_of_files(tmp_path, seed):
    job = world(8)
    job.call("world", ranks=but(8, 5), done=False)
    job.call("world", ranks=[5], done=False, input_sizes=[[32, 4]], output_sizes=[[32, 4]])
    job.write(tmp_path)
    found = list(members(str(tmp_path)))
    random.Random(seed).shuffle(found)
    told = diagnose_bundle(str(tmp_path), found)
    assert {c.failure: c.ranks for c in told.causes} == {"collective_mismatch_size": [5]}


def test_12_a_rank_that_has_not_started_what_others_have_is_behind(tmp_path):
    job = world(8)
    started = {"state": "started", "time_discovered_started_ns": 1_790_000_000_100_000_000}
    job.call("world", ranks=but(8, 5), done=False, **started)
    job.call("world", ranks=[5], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_completed": [5]}


def test_13_all_started_and_none_completed_is_not_fine(tmp_path):
    job = world(8)
    job.call("world", done=False, state="started", time_discovered_started_ns=1_790_000_000_100_000_000)
    job.write(tmp_path)
    assert said(tmp_path) == {"transport_stalled": list(range(8))}


def cascade(num_iterations=4):
    """Eight ranks, pairs in `tensor`, fours in `data`; rank 5 stops before its tensor operation."""
    job = Job(8)
    for i in range(4):
        job.group(f"t{i}", [2 * i, 2 * i + 1], str(1 + i), "tensor")
    for i in range(2):
        job.group(f"d{i}", range(i, 8, 2), str(5 + i), "data")
    for _ in range(num_iterations):
        for key in list(job.groups)[1:]:
            job.call(key)
    for i in range(4):
        job.call(f"t{i}", ranks=[4] if i == 2 else None, done=i != 2)
    job.call("d0", ranks=[0, 2, 6], done=False)
    job.call("d1", ranks=[1, 3, 7], done=False)
    return job


def test_14_a_cascade_has_one_root(tmp_path):
    cascade().write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [5]}


def uneven(num_iterations=60):
    """The first four ranks call more, on a group of their own: rings begin at other operations."""
    job = Job(8)
    job.group("half", range(4), "1", "half")
    for _ in range(num_iterations):
        for _ in range(3):
            job.call("half")
        job.call("world")
    return job


def test_15_unequal_counts_and_a_wrapped_ring_are_healthy(tmp_path):
    uneven().write(tmp_path, ring=50)
    assert said(tmp_path) == {}


def test_16_a_fault_shows_in_a_wrapped_ring_too(tmp_path):
    job = uneven()
    job.call("world", ranks=but(8, 6), done=False)
    job.write(tmp_path, ring=50)
    assert said(tmp_path) == {"collective_not_joined": [6]}


def test_17_operations_queued_behind_a_missing_rank_are_one_report_of_the_first(tmp_path):
    job = world(8)
    for _ in range(3):
        job.call("world", ranks=but(8, 7), done=False)
    job.write(tmp_path)
    told = verdict(tmp_path)
    [cause] = told.causes
    assert (cause.failure, cause.ranks) == ("collective_not_joined", [7])
    assert {wait.seq for wait in told.waits} == {7}


def test_18_a_transfer_in_the_worlds_group_is_healthy(tmp_path):
    job = world(8)
    job.send("world", 0, 1)
    job.write(tmp_path)
    assert said(tmp_path) == {}


def ring(job, ranks, done):
    num = job.num_ranks
    for rank in ranks:
        job.batch("world", rank, [(rank, (rank + 1) % num), ((rank - 1) % num, rank)], rank in done)


def test_19_a_ring_of_coalesced_transfers_is_healthy(tmp_path):
    job = Job(8)
    for _ in range(3):
        ring(job, range(8), range(8))
    job.write(tmp_path)
    assert said(tmp_path) == {}


def test_20_a_rank_that_is_absent_from_the_ring_is_awaited_by_its_neighbours(tmp_path):
    job = Job(8)
    ring(job, range(8), range(8))
    ring(job, but(8, 3), but(8, 2, 3, 4))
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [3]}


def test_20_a_receive_that_nobody_sends_to_awaits_the_sender(tmp_path):
    job = world(4)
    job.send("world", 2, 3)
    job.send("world", 2, 3, ranks=[3], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_21_a_collective_and_transfers_in_one_group_keep_their_own_counters(tmp_path):
    job = Job(4)
    job.call("world")
    ring(job, range(4), range(4))
    job.write(tmp_path)
    assert said(tmp_path) == {}


def test_22_uneven_operations_are_healthy(tmp_path):
    job = Job(8)
    for rank in range(8):
        sizes = {"input_sizes": [[10 + rank, 4]], "output_sizes": [[90 - rank, 4]]}
        job.call("world", "all_to_all_v_single", ranks=[rank], **sizes)
        job.call("world", "all_gather_v", ranks=[rank], **sizes)
    job.write(tmp_path)
    assert said(tmp_path) == {}


def test_22_uneven_operations_are_no_mismatch_where_a_rank_is_missing(tmp_path):
    job = world(8)
    for rank in but(8, 3):
        sizes = {"input_sizes": [[10 + rank, 4]], "output_sizes": [[90 - rank, 4]]}
        job.call("world", "all_to_all", ranks=[rank], done=False, **sizes)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [3]}


def test_23_an_unknown_operation_is_kept_as_it_is(tmp_path):
    job = world(4)
    job.call("world", "all_reduce_sparse", ranks=but(4, 2), done=False)
    job.write(tmp_path)
    told = verdict(tmp_path)
    assert {c.failure: c.ranks for c in told.causes} == {"collective_not_joined": [2]}
    assert {wait.op for wait in told.waits} == {"all_reduce_sparse"}


def test_24_an_empty_list_of_a_dump_of_active_operations_is_a_rank_with_nothing_in_flight(tmp_path):
    late(4, 2).write(tmp_path, only_active=True)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_24_an_idle_job_has_only_empty_lists(tmp_path):
    world(4).write(tmp_path, only_active=True)
    assert said(tmp_path) == {}


def test_24_a_group_that_one_rank_does_not_use_is_not_awaited(tmp_path):
    job = Job(4)
    job.group("pair", [0, 1], "1")
    for _ in range(4):
        job.call("pair")
    job.write(tmp_path)
    assert said(tmp_path) == {}


def test_25_mixed_versions_are_read_each_by_its_own(tmp_path):
    job = late(4, 2)
    job.write(tmp_path)
    for rank, version in ((0, "2.4"), (1, "2.9"), (3, "2.99")):
        dump = job.dump(rank) | {"version": version}
        if version == "2.9":
            dump["nccl_version"] = dump.pop("comm_lib_version")
        (tmp_path / f"nccl_trace_rank_{rank}").write_bytes(pickle.dumps(dump, protocol=2))
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_26_a_dump_without_entries_is_read_by_its_status(tmp_path):
    job = late(4, 2)
    job.write(tmp_path)
    dump = job.dump(2)
    del dump["entries"]
    (tmp_path / "nccl_trace_rank_2").write_bytes(pickle.dumps(dump, protocol=2))
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


def test_29_a_hung_operation_never_passes(tmp_path):
    late(4, 2).write(tmp_path)
    told = verdict(tmp_path)
    [wait] = told.waits
    assert (wait.waiting, wait.awaited, told.exit_code()) == ([0, 1, 3], [2], 1)


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


@pytest.mark.parametrize("busy", ["low", "high"])
def test_31_two_rank_sets_with_one_name_are_two_groups(tmp_path, busy):
    job = Job(8)
    job.group("low", range(4), "0:split:1", "split")
    job.group("high", range(4, 8), "0:split:1", "split")
    for _ in range(5):
        job.call("low")
        job.call("high")
    for _ in range(3):  # one of them goes on: its numbers say nothing of the other's
        job.call(busy)
    job.call("high", ranks=[4, 6, 7], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [5]}


def test_31_two_groups_of_one_rank_set_are_two_groups(tmp_path):
    job = Job(4)
    job.group("first", range(4), "0:split:1", "data")
    job.group("second", range(4), "0:split:2", "data")
    for _ in range(5):
        job.call("first")
    job.call("second")
    job.call("second", ranks=[0, 1, 3], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_json_dumps_say_the_same_as_pickles(tmp_path):
    job = cascade()
    for rank, dump in job.dumps():
        (tmp_path / f"rank{rank}.json").write_bytes(as_json(dump))
    assert said(tmp_path) == {"collective_not_joined": [5]}


@pytest.mark.parametrize(
    ("name", "failure"),
    [("gpu_error_2nd", "collective_not_completed"), ("lock_gil_1st", "collective_not_joined")],
)
def test_the_real_incidents_have_their_injected_culprits_and_say_which_side(name, failure):
    """The truth lies beside the dumps: a device error, and a lock that stops the program."""
    assert said(Path(__file__).parent / name) == {failure: [9, 14]}

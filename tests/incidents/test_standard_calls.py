"""What the standard analyser gets wrong: calls that differ, and calls that differ in health."""

import random

import pytest

from diagnose.bundle import members
from diagnose.pipeline import diagnose_bundle
from diagnose.verdict import encode
from tests.incidents.handmade import Job
from tests.incidents.pictures import but, said, verdict, world


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


def test_6_a_wrong_dtype_is_named_though_a_victim_left_no_file(tmp_path):
    job = world(4)
    job.call("world", ranks=[0, 1, 2], done=False)
    job.call("world", ranks=[3], done=False, input_dtypes=["Double"], output_dtypes=["Double"])
    job.write(tmp_path, without=[2])
    assert said(tmp_path)["collective_mismatch_dtype"] == [3]
    assert not {0, 1} & {rank for ranks in said(tmp_path).values() for rank in ranks}


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

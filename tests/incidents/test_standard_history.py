"""What the standard analyser gets wrong: what dumps leave out, and which groups are the same."""

import pickle

import pytest

from tests.incidents.handmade import Job
from tests.incidents.pictures import but, late, said, world


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


def test_26_a_dump_without_entries_is_read_by_its_status(tmp_path):
    job = late(4, 2)
    job.write(tmp_path)
    dump = job.dump(2)
    del dump["entries"]
    (tmp_path / "nccl_trace_rank_2").write_bytes(pickle.dumps(dump, protocol=2))
    assert said(tmp_path) == {"collective_not_joined": [2]}


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

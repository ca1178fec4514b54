"""What the standard analyser (`torchfrtrace` of torch 2.13) gets wrong, or right by luck: who is late.

The numbers, here and in the other `test_standard_*`, are those of the reference's table.
"""

import json
from pathlib import Path

import pytest

from tests.incidents.pictures import but, cascade, late, said, verdict, world


def test_2_a_gloo_straggler_is_missing(tmp_path):
    late(4, 2, "gloo").write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_3_a_dump_taken_after_the_late_rank_came_shows_no_hang(tmp_path):
    world(4, "gloo", num_calls=7).write(tmp_path)
    assert said(tmp_path) == {}


def test_5_a_rank_without_a_file_is_a_suspect_and_the_rest_is_read(tmp_path):
    late(4, 3).write(tmp_path, without=[3])
    [ranks] = said(tmp_path).values()
    assert ranks == [3]


def test_7_an_exception_is_the_cause_that_a_rank_is_missing(tmp_path):
    late(4, 3, "gloo").write(tmp_path)
    path = tmp_path / "none_ab12/attempt_0/3/error.json"
    path.parent.mkdir(parents=True)
    stack = 'Traceback (most recent call last):\n  File "t.py", line 3, in step\nValueError: bad batch\n'
    info = {"py_callstack": stack, "timestamp": "1790000000"}
    path.write_text(json.dumps({"message": {"message": "ValueError: bad batch", "extraInfo": info}}))
    assert said(tmp_path) == {"rank_exception": [3]}


def test_9_what_is_recorded_of_a_monitored_barrier_accuses_nobody_but_the_late_one(tmp_path):
    world(4, "gloo").write(tmp_path)
    (tmp_path / "rank0.log").write_text(
        "RuntimeError: [Rank 0]: Rank 2 failed to pass monitoredBarrier in 5000 ms\n"
    )
    assert {rank for ranks in said(tmp_path).values() for rank in ranks} <= {2}


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


def test_14_a_cascade_has_one_root(tmp_path):
    cascade().write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [5]}


def test_17_operations_queued_behind_a_missing_rank_are_one_report_of_the_first(tmp_path):
    job = world(8)
    for _ in range(3):
        job.call("world", ranks=but(8, 7), done=False)
    job.write(tmp_path)
    told = verdict(tmp_path)
    [cause] = told.causes
    assert (cause.failure, cause.ranks) == ("collective_not_joined", [7])
    assert {wait.seq for wait in told.waits} == {7}


def test_29_a_hung_operation_never_passes(tmp_path):
    late(4, 2).write(tmp_path)
    told = verdict(tmp_path)
    [wait] = told.waits
    assert (wait.waiting, wait.awaited, told.exit_code()) == ([0, 1, 3], [2], 1)


@pytest.mark.parametrize(
    ("name", "failure"),
    [("gpu_error_2nd", "collective_not_completed"), ("lock_gil_1st", "collective_not_joined")],
)
def test_the_real_incidents_have_their_injected_culprits_and_say_which_side(name, failure):
    """The truth lies beside the dumps: a device error, and a lock that stops the program."""
    assert said(Path(__file__).parent / name) == {failure: [9, 14]}

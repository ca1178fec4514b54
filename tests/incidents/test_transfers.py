"""Sends and receives that do not end: what holds up what, who is missing, and what nobody is to blame for."""

import pickle

from click.testing import CliRunner

from diagnose.cli import group
from tests.incidents.handmade import Job
from tests.incidents.pictures import said, verdict


def begun(num_ranks):
    job = Job(num_ranks)
    job.call("world")
    return job


def test_a_transfer_that_both_sides_launched_is_not_delivered(tmp_path):
    job = begun(4)
    job.send("world", 1, 2, done=False)
    job.call("world", ranks=[0, 3], done=False)
    job.call("world", ranks=[1, 2], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"transport_stalled": [1, 2]}
    done = CliRunner().invoke(group, ["postmortem", "--check", str(tmp_path)])
    assert done.exit_code == 0, done.output


def test_a_send_that_does_not_fit_its_receive_names_both_sides(tmp_path):
    job = begun(3)
    job.send("world", 1, 2, done=False)
    job.rows[2][-1]["input_sizes"] = [[64, 8]]
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_mismatch_size": [1, 2]}


def test_a_block_of_which_one_part_lacks_its_other_side_is_no_fault_of_the_transport(tmp_path):
    """Rank 2 never came to the ring: what 0 and 1 move between them is in blocks that wait for it."""
    job = begun(3)
    for rank in (0, 1):
        job.batch("world", rank, [(rank, (rank + 1) % 3), ((rank - 1) % 3, rank)], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def crossing(back):
    """Each of two ranks sends first, and receives then."""
    job = begun(2)
    for rank, order in ((0, [("world", 0, 1), (back, 1, 0)]), (1, [(back, 1, 0), ("world", 0, 1)])):
        for key, source, target in order:
            job.send(key, source, target, ranks=[rank], done=False)
    return job


def test_two_that_both_send_first_are_deadlocked(tmp_path):
    crossing("world").write(tmp_path)
    assert said(tmp_path) == {"collective_order_deadlock": [0, 1]}


def test_what_a_rank_launched_behind_a_send_that_nobody_receives_is_nobodys_fault(tmp_path):
    """Rank 2 never receives; whether 0 and 1 have a fault of their own after that, nobody can tell."""
    job = begun(3)
    job.group("pair", [0, 1], "1", "PAIR")
    job.send("world", 0, 2, ranks=[0], done=False)
    job.call("pair", done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_not_joined": [2]}


def test_a_broadcast_that_its_root_has_done_leaves_nobody_behind_who_called_something_else(tmp_path):
    job = begun(4)
    job.call("world", "broadcast", ranks=[0])
    job.call("world", ranks=[1, 2, 3], done=False)
    job.write(tmp_path)
    assert said(tmp_path) == {"collective_mismatch_op": [0]}


def test_a_quiet_group_that_the_ring_has_lost_is_done_though_the_watchdog_has_not_seen_it(tmp_path):
    """All launched #1 of the quiet group: that a late watchdog does not call it done blames nobody."""
    job = begun(4)
    job.group("quiet", range(4), "1", "QUIET")
    job.call("quiet")
    for _ in range(9):
        job.call("world")
    job.call("world", ranks=[0, 1, 2], done=False)
    told = [dump for _, dump in job.dumps(ring=4)]
    told[1]["pg_status"]["1"]["last_completed_collective"] = -1
    for rank, dump in enumerate(told):
        (tmp_path / f"nccl_trace_rank_{rank}").write_bytes(pickle.dumps(dump, protocol=2))
    assert said(tmp_path) == {"collective_not_joined": [3]}


def test_a_quiet_group_that_the_ring_has_lost_is_waited_in_where_a_member_never_came(tmp_path):
    job = begun(4)
    job.group("quiet", range(4), "1", "QUIET")
    job.call("quiet", ranks=[0, 1, 3], done=False)
    for _ in range(9):
        job.call("world")
    job.write(tmp_path, ring=4)
    assert verdict(tmp_path).causes[0].ranks == [2]


def blocks(rank_is_stuck):
    """Pairs of ranks exchange blocks; then all meet in the world, where rank 2 does not come."""
    job = begun(4)
    for a, b in ((0, 1), (2, 3)):
        for rank, parts in ((a, [(a, b), (b, a)]), (b, [(b, a), (a, b)])):
            job.batch("world", rank, parts)
    job.call("world", ranks=[r for r in range(4) if r != rank_is_stuck], done=False)
    return job


def test_a_block_whose_end_was_left_out_as_completed_is_done(tmp_path):
    """The transfers inside a block never change their state: they are left in dumps of active operations."""
    blocks(2).write(tmp_path, only_active=True)
    assert said(tmp_path) == {"collective_not_joined": [2]}
    done = CliRunner().invoke(group, ["postmortem", "--check", str(tmp_path)])
    assert done.exit_code == 0, done.output


def test_a_block_of_one_transfer_is_done_too_where_the_group_has_others(tmp_path):
    job = blocks(2)
    job.rows[3] = [row for row in job.rows[3] if not row["profiling_name"].endswith("recv 3<-2")]
    for rank, parts in ((2, [(2, 3)]), (3, [(2, 3)])):
        job.batch("world", rank, parts)
    job.write(tmp_path, only_active=True)
    assert said(tmp_path) == {"collective_not_joined": [2]}

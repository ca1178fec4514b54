"""What the standard analyser gets wrong: sends, receives and their counters."""

from tests.incidents.handmade import Job
from tests.incidents.pictures import but, said, world


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

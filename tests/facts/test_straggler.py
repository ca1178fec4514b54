"""A straggler is the same rank, late time after time; chance and one long wait are none."""

import random

import pytest

from diagnose.facts import straggler
from diagnose.model import Event, Evidence
from diagnose.playbook import load

BOUNDS = load().failures["straggler"].when[0].where


def run(late, num_ranks=4, num_steps=40, per_step=2, seed=0, made=(), **data):
    """Dumps of a synchronous loop; `late(rank, step)` is what a rank's own work takes longer, in seconds."""
    random.seed(seed)
    now, rows, seq = 1000.0, {r: [] for r in range(num_ranks)}, 0
    for step in range(num_steps):
        for part in range(per_step):
            seq += 1
            arrivals = {
                r: now + 0.05 + random.uniform(0, 0.004) + (late(r, step) if part == 0 else 0)
                for r in range(num_ranks)
            }
            for r, t in arrivals.items():
                rows[r].append([seq, "all_reduce|[[10]]|Float", t, True, 60.0])
            now = max(arrivals.values())
    events = [
        Event(
            kind="flight.group_read",
            source="flight_recorder",
            where=f"flight/100/rank-{r:05d}.json",
            rank=r,
            data={
                "group": "",
                "desc": "default_pg",
                "launched": seq,
                "completed": seq,
                "entries": rows[r],
                **data,
            },
        )
        for r in range(num_ranks)
    ]
    events += [Event("group.created", "rank_hook", "x:1", data=one) for one in made]
    evidence = Evidence(
        events=events, read=frozenset({"flight_recorder"}), ranks=list(range(num_ranks)), num_ranks=num_ranks
    )
    return [
        (f.ranks, f.data)
        for f in straggler.derive(evidence)
        if all(test.holds(f.data[key]) for key, test in BOUNDS.items())
    ]


@pytest.mark.parametrize("num_ranks", [2, 4, 8])
def test_the_late_rank_is_named(num_ranks):
    found = run(lambda rank, step: 0.15 if rank == 1 else 0.0, num_ranks)
    assert [ranks for ranks, _ in found] == [[1]]
    assert 0.13 < found[0][1]["late_s"] < 0.17


@pytest.mark.parametrize("seed", range(20))
def test_lateness_that_wanders_is_nobodys(seed):
    random.seed(seed)
    who = [random.randrange(4) for _ in range(40)]
    assert run(lambda rank, step: 0.1 if who[step] == rank else 0.0, seed=seed) == []


def test_one_long_wait_is_no_straggler():
    assert run(lambda rank, step: 20.0 if (rank, step) == (1, 9) else 0.0) == []


def test_a_slow_first_step_is_no_straggler():
    assert run(lambda rank, step: 30.0 if rank == 1 and step < 2 else 0.0) == []


def test_a_rank_that_is_late_for_a_part_of_the_time_is_no_straggler():
    assert run(lambda rank, step: 0.2 if rank == 1 and 10 < step < 25 else 0.0) == []


def slow_first(rank, step):
    """The first pipeline stage has most of the work."""
    return 0.15 if rank == 0 else 0.0


def test_stages_that_send_to_each_other_are_no_equals():
    assert run(slow_first)
    assert run(slow_first, mixed=True) == []


def test_a_group_that_records_nothing_may_be_a_pipeline():
    silent = {"group": "3", "desc": "undefined", "ranks": [0, 1]}
    assert run(slow_first, made=[silent]) == []
    assert run(slow_first, made=[silent | {"ranks": [0]}]), "nobody to send to"
    assert run(slow_first, made=[silent | {"desc": "default_pg"}]), "every job has it"

"""The wait-for graph on hand-made frontiers: each picture of the theory has its reading."""

from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.facts.dumps import OPS, dump, say, seen


def test_a_rank_that_never_launched_is_awaited_whatever_the_order_of_files():
    events = [dump(0, 7, 6), dump(1, 7, 6), dump(2, 6, 6), dump(3, 7, 6)]
    for order in permutations(events):
        assert seen(*order) == {("collective.awaited", (2,))}


def test_a_rank_without_a_dump_is_awaited():
    assert seen(dump(0, 7, 6), dump(1, 7, 6), dump(3, 7, 6)) == {("collective.awaited", (2,))}


def test_a_rank_that_did_not_complete_what_others_did_is_behind():
    events = [dump(0, 7, 7), dump(1, 7, 7), dump(2, 7, 6), dump(3, 7, 7)]
    assert seen(*events) == {("collective.behind", (2,))}


def test_a_victim_that_waits_elsewhere_is_no_root():
    """Rank 5 never joins its TP group; 4 waits there, and 6 waits for 4 in DP."""
    events = [
        dump(4, 3, 2, "tp", "TP", ranks=[4, 5]),
        dump(5, 2, 2, "tp", "TP", ranks=[4, 5]),
        dump(4, 9, 9, "dp", "DP", ranks=[4, 6]),
        dump(6, 10, 9, "dp", "DP", ranks=[4, 6]),
    ]
    assert seen(*events, num_ranks=None) == {("collective.awaited", (5,))}


def test_all_arrived_with_equal_calls_is_the_transport():
    assert seen(*[dump(r, 7, 6) for r in range(4)]) == {("collective.arrived", (0, 1, 2, 3))}


def test_a_different_call_at_one_place_names_the_strict_minority():
    odd = [*[OPS[0]] * 6, OPS[2]]
    events = [dump(r, 7, 6, ops=odd if r == 1 else None) for r in range(4)]
    assert seen(*events) == {("collective.mismatched", (1,))}


def test_two_against_two_names_both_sides():
    odd = [*[OPS[0]] * 6, OPS[2]]
    events = [dump(r, 7, 6, ops=odd if r < 2 else None) for r in range(4)]
    assert seen(*events) == {("collective.mismatched", (0, 1, 2, 3))}


def test_a_call_that_used_to_follow_the_usual_one_was_left_out():
    cycle = [OPS[0], OPS[1]] * 5
    others, odd = [*cycle, OPS[0]], [*cycle, OPS[1]]
    events = [dump(r, 11, 10, ops=odd if r == 3 else others) for r in range(4)]
    assert seen(*events) == {("collective.skipped", (3,))}


def test_what_moved_between_two_scans_is_no_hang():
    before = [dump(0, 7, 6, scan="100"), dump(1, 6, 6, scan="100")]
    after = [dump(0, 9, 8, scan="102"), dump(1, 8, 8, scan="102")]
    assert seen(*before, *after, num_ranks=2) == set()


def test_a_rank_that_moved_but_is_still_awaited_makes_nobody_guilty():
    before = [dump(0, 9, 8, scan="100"), dump(1, 5, 5, scan="100")]
    after = [dump(0, 9, 8, scan="102"), dump(1, 7, 7, scan="102")]
    assert seen(*before, *after, num_ranks=2) == set()


def test_a_rank_that_was_seen_once_while_all_others_moved_is_not_behind():
    """Its dump of one look was lost, and it is older than the others'."""
    before = [dump(r, 7, 6, scan="100") for r in range(3)]
    after = [dump(r, 9, 8, scan="102") for r in range(2)]
    assert seen(*before, *after, num_ranks=3) == set()
    still = [dump(0, 7, 6, scan="102"), dump(1, 9, 8, scan="102")]
    assert seen(*before, *still, num_ranks=3) != set(), "one that was seen twice stood still"


@given(st.integers(2, 12), st.integers(1, 50))
def test_a_finished_or_idle_job_has_no_waits(num_ranks, length):
    assert seen(*[dump(r, length, length) for r in range(num_ranks)], num_ranks=num_ranks) == set()


@given(st.integers(3, 12), st.data())
def test_the_absent_ranks_are_exactly_the_roots(num_ranks, data):
    absent = data.draw(st.sets(st.integers(0, num_ranks - 1), min_size=1, max_size=num_ranks - 1))
    events = [dump(r, 4 if r in absent else 5, 4) for r in range(num_ranks)]
    assert seen(*events, num_ranks=num_ranks) == {("collective.awaited", tuple(sorted(absent)))}


@pytest.mark.parametrize("junk", [None, "x", {"a": 1}, [None], [[]], [["x", 3]], [[1]], [[7, None]]])
def test_odd_entries_are_no_error(junk):
    event = dump(0, 7, 6)
    event.data["entries"] = junk
    seen(event, dump(1, 6, 6), num_ranks=2)


def test_a_rank_that_had_no_group_yet_at_the_first_scan_has_moved():
    first, second = (
        say("flight.read", 0, source="flight_recorder", where=f"flight/{n}/rank-00000.json", library="nccl")
        for n in (100, 103)
    )
    late = [dump(0, 3, 2, scan="103"), dump(1, 3, 3, scan="103")]
    late = [msgspec.structs.replace(e, where=f"flight/103/rank-{e.rank:05d}.json") for e in late]
    early = msgspec.structs.replace(late[1], where="flight/100/rank-00001.json")
    assert seen(first, early, *late, second, num_ranks=2) == set()

"""Waits on NCCL's streams: what was launched first is first to end, and a dump may leave out what is done."""

import msgspec

from tests.facts.dumps import OPS, dump
from tests.facts.recorded import told


def nccl(rank, front, done, group="world", ranks=(0, 1), made=1.0, **more):
    """What an NCCL rank left of one group: its collective after `done` is open since `made`."""
    rows = [[done + 1, OPS[0], made, False, 60.0, "scheduled", None, None]]
    data = {"ranks": list(ranks), "entries": rows if front > done else [], "basis": "entries", **more}
    event = dump(rank, front, done, group, group)
    return msgspec.structs.replace(event, data=event.data | data)


def test_whoever_has_open_what_another_completed_is_behind_whatever_else_it_waits_for():
    events = [nccl(0, 5, 4), nccl(1, 5, 5), nccl(0, 3, 2, "pair", made=0.5), nccl(1, 2, 2, "pair")]
    assert ("collective.behind", (0,)) in told(*events)


def test_ranks_whose_oldest_operations_are_in_opposite_order_are_a_circle():
    events = [nccl(0, 5, 4, made=1.0), nccl(0, 3, 2, "pair", made=2.0)]
    events += [nccl(1, 5, 4, made=2.0), nccl(1, 3, 2, "pair", made=1.0)]
    assert told(*events) == {("collective.cycled", (0, 1))}


def test_a_dump_that_leaves_out_what_is_done_does_not_make_its_rank_late():
    """Rank 1 shows nothing of a group in which it may have completed all: one against one tells nothing."""
    events = [nccl(0, 5, 4), nccl(1, 0, 0, basis="none", mixed=True, launched=None, completed=None)]
    assert told(*events, only_active=True) == set()
    assert told(*events) == {("collective.awaited", (1,))}


def test_one_name_with_two_rank_sets_is_two_groups():
    events = [nccl(0, 5, 4, "split", (0,)), nccl(1, 9, 9, "split", (1,))]
    assert ("collective.awaited", (1,)) not in told(*events)


def test_an_operation_that_is_next_and_has_not_begun_is_held_up_by_its_own_device():
    """Rank 1 left no dump; where starts are not recorded it may be the late one."""
    assert told(nccl(0, 5, 4, started=4)) == {("collective.behind", (0,))}
    assert told(nccl(0, 5, 4, started=5)) == told(nccl(0, 5, 4)) == {("collective.awaited", (1,))}


def test_who_alone_shows_an_operation_and_is_waited_for_by_all_others_is_behind():
    """Rank 1 waits for 0 in the pair, and shows nothing of the group that 0 waits in: no order is crossed."""
    events = [nccl(0, 5, 4, made=1.0), nccl(0, 3, 2, "pair", made=2.0), nccl(1, 3, 2, "pair", made=1.0)]
    events.append(nccl(1, 0, 0, basis="none", mixed=True, launched=None, completed=None))
    assert told(*events, only_active=True) == {("collective.behind", (0,))}

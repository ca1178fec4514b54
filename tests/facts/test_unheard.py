"""Ranks that left no dump, and dumps that are older than the others."""

from msgspec.structs import replace

from diagnose.model import Event
from tests.facts.dumps import dump, say, seen


def nccl(*events):
    """The same, by a recorder that tells failed from done: what a rank launched first is first to end."""
    heads = [
        Event("flight.read", "flight_recorder", e.where, rank=e.rank, data={"library": "nccl"})
        for e in events
    ]
    return [*events, *{e.rank: e for e in heads}.values()]


def stack(rank, *frames):
    at = f"attempts/1/stacks/100/rank-{rank:05d}.json"
    return say("stack.read", rank, source="stack_dump", where=at, main=list(frames), paths=[], active=False)


def test_one_that_lacks_beside_a_rank_that_was_heard_may_wait_among_the_others():
    assert seen(*nccl(dump(0, 7, 6), dump(1, 6, 6), dump(2, 7, 6))) == {("collective.awaited", (1,))}


def test_one_that_lacks_alone_is_blamed_beside_another_culprit():
    """Rank 1 is late in the world; nobody but 3 lacks in its pair, and that comes first."""
    events = [
        *(dump(r, 7 if r == 0 else 6, 6, created=800.0) for r in range(3)),
        dump(2, 3, 2, "pair", "PAIR", ranks=[2, 3], created=900.0),
    ]
    assert seen(*nccl(*events)) == {("collective.awaited", (1, 3)), ("collective.awaited", (3,))}


def test_one_that_lacks_alone_in_what_comes_after_another_wait_is_not_blamed():
    """Rank 3 may wait for 1 in the world, as 0 does; its pair comes later in the program."""
    events = [
        dump(0, 7, 6),
        dump(1, 6, 6),
        dump(2, 7, 6),
        dump(2, 3, 2, "pair", "PAIR", ranks=[2, 3], created=1100.0),
    ]
    assert seen(*nccl(*events)) == {("collective.awaited", (1,))}


def test_one_whose_peer_in_another_such_group_is_held_up_may_be_held_up_too():
    """Ranks 2 and 3 are first in their pairs. The device of 2 waits for 4 before it comes to its pair."""
    neighbours = (
        dump(2, 1, 0, "near", "NEAR", ranks=[2, 4], created=900.0),
        dump(4, 0, 0, "near", "NEAR", ranks=[2, 4]),
    )
    pairs = dump(2, 3, 2, "a", "PAIR", ranks=[2, 5]), dump(5, 3, 2, "a", "PAIR", ranks=[2, 5])
    alone = dump(6, 3, 2, "b", "PAIR", ranks=[3, 6])
    assert seen(*nccl(*neighbours, *pairs, alone), num_ranks=7) == {("collective.awaited", (4,))}
    assert ("collective.awaited", (3,)) in seen(*nccl(*pairs, alone), num_ranks=7)


def test_one_with_which_others_completed_what_comes_after_is_not_blamed():
    """Rank 2 waits in its pair for 3, and launched #8 of its team later; 3 made #8 of its own team with 4."""
    pair = dump(2, 3, 2, "a", "PAIR", ranks=[2, 3], created=1000.0)
    team = dump(2, 8, 8, "s", "TEAM", ranks=[2, 5], created=1000.0), dump(5, 8, 8, "s", "TEAM", ranks=[2, 5])
    others = dump(4, 8, 8, "t", "TEAM", ranks=[3, 4])
    assert seen(*nccl(pair, *team, others), num_ranks=6) == set()
    behind = dump(4, 3, 3, "t", "TEAM", ranks=[3, 4])
    assert seen(*nccl(pair, *team, behind), num_ranks=6) == {("collective.awaited", (3,))}


def test_one_whose_peer_is_to_blame_is_not_blamed_where_both_are_in_one_smaller_group():
    """Ranks 2 and 3 lack in their pairs; 2 waits for nobody, and 3 shares a group with it."""
    alone = dump(4, 3, 2, "a", "PAIR", ranks=[2, 4]), dump(5, 3, 2, "b", "PAIR", ranks=[3, 5])
    free = dump(2, 2, 2, "a", "PAIR", ranks=[2, 4])
    world = [dump(r, 1, 1) for r in (2, 4, 5)]
    shared = dump(2, 8, 8, "s", "SIDE", ranks=[2, 3])
    assert seen(*nccl(*alone, free, shared, *world), num_ranks=6) == {("collective.awaited", (2,))}
    both = {("collective.awaited", (2,)), ("collective.awaited", (3,))}
    assert seen(*nccl(*alone, free, *world), num_ranks=6) == both


def test_that_it_stands_in_a_call_of_the_library_does_not_speak_against_it():
    """Rank 3 of the test before; in a frame of the program's own it is not held up by another."""
    events = nccl(
        dump(0, 7, 6),
        dump(1, 6, 6),
        dump(2, 7, 6),
        dump(2, 3, 2, "pair", "PAIR", ranks=[2, 3], created=1100.0),
    )
    assert seen(*events, stack(3, "all_reduce (distributed_c10d.py:3252)")) == {("collective.awaited", (1,))}
    assert ("collective.awaited", (3,)) in seen(*events, stack(3, "load (train.py:9)"))


def test_without_another_culprit_it_is_blamed():
    assert seen(*nccl(dump(0, 7, 6), dump(1, 7, 6), dump(2, 7, 6))) == {("collective.awaited", (3,))}


def test_a_rank_that_is_behind_what_another_completed_has_got_on_since_its_dump():
    """All must have begun #8 before rank 0 completed it: the dump of 1, which ends at #6, is old."""
    assert seen(*nccl(dump(0, 9, 8), dump(1, 6, 6), dump(2, 9, 8), dump(3, 9, 8))) == set()


def open_alone(event):
    """The same dump without what is completed."""
    rows = event.data["entries"][event.data["completed"] :]
    return replace(event, data=event.data | {"entries": rows})


def test_that_is_so_too_where_dumps_leave_out_what_is_completed():
    """Rank 1 waited in #6, which the others completed long ago."""
    events = [open_alone(dump(r, 9, 8)) for r in (0, 2, 3)]
    assert seen(*nccl(*events, open_alone(dump(1, 6, 5)))) == set()
    last = seen(*nccl(*events, open_alone(dump(1, 7, 7))))
    assert last == {("collective.awaited", (1,))}, "their last one may have been a broadcast"
    reduced = [open_alone(dump(r, 9, 8, ops=["reduce|[[2]]|Float"] * 9)) for r in (0, 2, 3)]
    found = seen(*nccl(*reduced, open_alone(dump(1, 6, 6))))
    assert found == {("collective.awaited", (1,))}, "their root may be that far behind"


def test_a_root_that_is_ahead_makes_no_dump_old():
    ops = ["broadcast|[[2]]|Float"] * 9
    events = [dump(r, 9, 8 if r else 9, ops=ops) for r in (0, 2, 3)]
    found = seen(*nccl(*events, dump(1, 6, 6, ops=ops[:6])))
    assert found == {("collective.awaited", (1,))}


def test_gloo_calls_done_what_failed_so_that_makes_no_dump_old():
    events = [dump(0, 9, 8), dump(1, 6, 6), dump(2, 9, 8), dump(3, 9, 8)]
    assert seen(*events) == {("collective.awaited", (1,))}

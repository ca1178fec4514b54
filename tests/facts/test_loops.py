"""A rank behind the loop in which the others wait, and the pictures that only resemble it."""

from diagnose.facts import loops
from diagnose.model import Evidence
from tests.facts.dumps import OPS, dump, say

LOOP = [[40, 50]]


def stands(rank, *places, inside="all_reduce (distributed_c10d.py:3252)"):
    """A rank's stack, innermost first, and what the source says of it: (function, line, loops) each."""
    rows = [
        {
            "frame": f"{f} (train.py:{n})",
            "path": "/srv/train.py",
            "line": n,
            "loops": around,
            "call": f"{f}()",
        }
        for f, n, around in places
    ]
    main = [inside, *(row["frame"] for row in rows)]
    at = {"where": f"attempts/1/stacks/100/rank-{rank:05d}.json", "source": "stack_dump"}
    return [
        say("stack.read", rank, **at, main=main, paths=["/site-packages/x.py", *(r["path"] for r in rows)]),
        say("stack.placed", rank, source="agent", dir="100", places=rows),
    ]


def arm(events, *arms):
    """The same, in these branches of the program."""
    for event in events:
        for row in event.data.get("places", []):
            row["arms"] = list(arms)
    return events


def left(*events, num_ranks=3):
    ranks = sorted({e.rank for e in events if e.rank is not None})
    taken = say("evidence.taken", None, 101.0, "agent", cause="stalled", time_dirs=["100"])
    evidence = Evidence(events=[*events, taken], read=frozenset(), ranks=ranks, num_ranks=num_ranks)
    return [(f.ranks, f.data["place"], f.data["others_place"]) for f in loops.derive(evidence)]


def waits(odd=2, num_ranks=3):
    """All wait at #7, the odd rank in another call."""
    ops = [*[OPS[0]] * 6, OPS[1]]
    return [dump(r, 7, 6, ops=ops if r == odd else None) for r in range(num_ranks)]


IN_STEP = (("step", 9, []), ("main", 45, LOOP))


def test_a_rank_behind_the_loop_of_the_others_has_left_it():
    events = [*stands(0, *IN_STEP), *stands(1, *IN_STEP), *stands(2, ("gather", 20, []), ("main", 53, []))]
    assert left(*waits(), *events) == [([2], "main (train.py:53)", "main (train.py:45)")]


def test_a_rank_that_made_more_steps_than_those_in_the_loop_did_not_run_out_of_data():
    """It left out a collective, and so came to the end with fewer of them."""
    events = [*stands(0, *IN_STEP), *stands(1, *IN_STEP), *stands(2, ("gather", 20, []), ("main", 53, []))]
    counted = [say("rank.sampled", r, 99.0, "agent", num_steps=6 + r // 2) for r in range(3)]
    assert left(*waits(), *events, *counted) == []
    equal = [say("rank.sampled", r, 99.0, "agent", num_steps=6) for r in range(3)]
    assert left(*waits(), *events, *equal) != []


def test_a_branch_inside_the_loop_is_none():
    events = [*stands(0, *IN_STEP), *stands(1, *IN_STEP), *stands(2, ("share", 20, []), ("main", 48, LOOP))]
    assert left(*waits(), *events) == []


def test_the_same_line_of_another_function_is_none():
    events = [*stands(0, *IN_STEP), *stands(1, *IN_STEP), *stands(2, ("evaluate", 53, []))]
    assert left(*waits(), *events) == []


def test_an_outer_loop_that_holds_both_does_not_hide_the_inner_one():
    inner = (("step", 9, []), ("main", 45, [[30, 60], [40, 50]]))
    events = [*stands(0, *inner), *stands(1, *inner), *stands(2, ("gather", 2, []), ("main", 55, [[30, 60]]))]
    assert [ranks for ranks, _, _ in left(*waits(), *events)] == [[2]]


def test_a_rank_that_works_on_behind_the_loop_may_come_back():
    """It evaluates or saves; the others are in the next round of an outer loop."""
    events = [*stands(0, *IN_STEP), *stands(1, *IN_STEP)]
    events += stands(2, ("save", 20, []), ("main", 53, []), inside="write (io.py:3)")
    assert left(*[dump(r, 7, 6) for r in (0, 1)], dump(2, 6, 6), *events) == []


def test_one_of_two_behind_the_loop_is_enough():
    events = [*stands(0, *IN_STEP), *stands(1, ("main", 53, []))]
    assert [r for r, _, _ in left(*waits(odd=1, num_ranks=2), *events, num_ranks=2)] == [[1]]


def test_a_later_call_in_another_group_counts_as_well():
    """Rank 1 waits at the end in a group of its own making, which the others never use."""
    events = [*stands(0, *IN_STEP), *stands(1, ("main", 53, []))]
    ranks = [0, 1]
    dumps = [
        *(dump(0, 7, 6, ranks=ranks), dump(1, 6, 6, ranks=ranks)),
        *(dump(0, 3, 3, "1", "end", ranks=ranks), dump(1, 4, 3, "1", "end", ranks=ranks)),
    ]
    assert [r for r, _, _ in left(*dumps, *events, num_ranks=2)] == [[1]]


def test_a_rank_of_another_role_is_none():
    """`if rank < 2: train() else: serve()`, in one function."""
    trains = [*arm(stands(0, *IN_STEP), [38, 1, 0]), *arm(stands(1, *IN_STEP), [38, 1, 0])]
    assert left(*waits(), *trains, *arm(stands(2, ("main", 53, [])), [38, 0, 0])) == []
    assert left(*waits(), *trains, *stands(2, ("main", 53, []))) != []

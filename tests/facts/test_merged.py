"""Merged stacks: ranks at one place of the program are one class, whatever else their stacks differ in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnose.merged import merge
from diagnose.model import Event, Evidence

LIBRARY = "/venv/lib/python3.11/site-packages/torch"
WAITS = [
    ("all_reduce (distributed_c10d.py:3252)", f"{LIBRARY}/distributed/distributed_c10d.py"),
    ("_exception_logger.<locals>.wrapper (c10d_logger.py:83)", f"{LIBRARY}/distributed/c10d_logger.py"),
    ("step (training.py:83)", "/app/training.py"),
    ("main (train.py:32)", "/app/train.py"),
    ("<module> (train.py:37)", "/app/train.py"),
]
LOCKED = [("load (data.py:7)", "/app/data.py"), *WAITS[3:]]


def stack(rank, frames, scan=100, active=False, via="py_spy"):
    return Event(
        kind="stack.read",
        source="stack_dump",
        where=f"attempts/1/stacks/{scan}/rank-{rank:05d}.json",
        rank=rank,
        data={
            "via": via,
            "main": [text for text, _ in frames],
            "paths": [path for _, path in frames],
            "active": active,
        },
    )


def at(frames, position, line):
    """The same stack with another line in one frame."""
    text, path = frames[position]
    head = text.rpartition(":")[0]
    return [*frames[:position], (f"{head}:{line})", path), *frames[position + 1 :]]


def merged(*events, culprits=()):
    return merge(Evidence(events=list(events)), culprits)


def ranks(*events, culprits=()):
    return [one.ranks for one in merged(*events, culprits=culprits)]


def test_the_odd_one_comes_first_and_is_called_so():
    found = merged(*(stack(r, LOCKED if r == 3 else WAITS) for r in range(8)))
    assert [(one.ranks, one.odd) for one in found] == [([3], True), ([0, 1, 2, 4, 5, 6, 7], False)]
    assert found[0].frames == ["load (data.py:7)", "main (train.py:32)", "<module> (train.py:37)"]
    assert found[0].num_frames == 3
    assert found[0].where == "attempts/1/stacks/100/rank-00003.json"


def test_what_all_share_is_counted_from_the_outermost_frame():
    found = merged(stack(0, WAITS), stack(1, LOCKED))
    assert {one.num_shared for one in found} == {2}
    assert [one.num_shared for one in merged(stack(0, WAITS), stack(1, WAITS))] == [4]


def test_every_class_keeps_a_frame_of_its_own():
    found = merged(stack(0, WAITS), stack(1, WAITS[3:]))
    assert {tuple(one.ranks): one.num_shared for one in found} == {(0,): 1, (1,): 1}


def test_alike_in_number_the_culprit_leads():
    events = stack(0, LOCKED), stack(1, WAITS)
    assert ranks(*events) == [[0], [1]]
    assert ranks(*events, culprits=[1]) == [[1], [0]]
    assert [one.odd for one in merged(*events)] == [False, False]
    assert [one.odd for one in merged(*events, culprits=[1])] == [True, False]


def test_a_culprit_leads_though_it_is_in_the_majority():
    events = [stack(0, WAITS), *(stack(r, LOCKED) for r in (1, 2, 3))]
    assert [(one.ranks, one.odd) for one in merged(*events, culprits=[1, 2, 3])] == [
        ([1, 2, 3], True),
        ([0], False),
    ]


def test_the_same_call_from_another_line_is_another_place():
    assert ranks(stack(0, WAITS), stack(1, at(WAITS, 2, 90)), stack(2, WAITS)) == [[1], [0, 2]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (WAITS, at(WAITS, 0, 9999)),  # a line of a library
        (WAITS, [WAITS[0], *WAITS[2:]]),  # a wrapper
        (LOCKED, [LOCKED[0], LOCKED[0], LOCKED[0], *LOCKED[1:]]),  # the depth of a recursion
        (
            [(f"call (c{'a' * 51}.py:9)", f"/cache/c{'a' * 51}.py"), *LOCKED],
            [(f"call (c{'b' * 51}.py:7)", f"/cache/c{'b' * 51}.py"), *LOCKED],
        ),
        (
            [("forward (<eval_with_key>.3:5)", "<eval_with_key>.3"), *LOCKED],
            [("forward (<eval_with_key>.12:5)", "<eval_with_key>.12"), *LOCKED],
        ),
    ],
)
def test_what_differs_though_nothing_is_different_makes_no_class(one, other):
    assert ranks(stack(0, one), stack(1, other)) == [[0, 1]]


def test_methods_of_one_name_that_call_each_other_are_no_recursion():
    model = [
        ("Block.forward (model.py:30)", "/app/model.py"),
        ("Model.forward (model.py:52)", "/app/model.py"),
    ]
    assert merged(stack(0, [*model, *WAITS[3:]]))[0].frames[:2] == [text for text, _ in model]


def test_two_tools_name_a_function_differently():
    qualified = [("Loader.load (data.py:7)", "/app/data.py"), *WAITS[3:]]
    assert ranks(stack(0, LOCKED), stack(1, qualified, via="faulthandler")) == [[0, 1]]


def test_a_line_that_moved_between_the_samples_is_a_loops_and_shown_as_a_range():
    events = [
        *(stack(r, at(LOCKED, 0, 7 + r)) for r in range(3)),
        *(stack(r, at(LOCKED, 0, 9 - r), scan=102) for r in range(3)),
    ]
    (found,) = merged(*events)
    assert found.ranks == [0, 1, 2]
    assert found.frames[0] == "load (data.py:7-9)"
    assert found.moved is None  # rank 1 was at one line twice


def test_the_line_of_a_thread_that_runs_is_a_moments():
    assert ranks(stack(0, LOCKED, active=True), stack(1, at(LOCKED, 0, 8), active=True)) == [[0, 1]]


def test_a_compile_is_cut_to_what_matters():
    inside = [(f"f{n} (scheduler.py:{n})", f"{LIBRARY}/_inductor/scheduler.py") for n in range(60)]
    decides = [("codegen_and_compile (compile_fx.py:1)", f"{LIBRARY}/_inductor/compile_fx.py")]
    call = [("_call_impl (module.py:1)", f"{LIBRARY}/nn/modules/module.py")]
    events = [
        stack(0, [*inside, *decides, *call, *WAITS[2:]]),
        stack(1, [*inside[30:], *decides, *call, *WAITS[2:]]),
    ]
    (found,) = merged(*events)
    assert found.frames == [
        "f0 (scheduler.py)",
        "codegen_and_compile (compile_fx.py)",
        "step (training.py:83)",
        "main (train.py:32)",
        "<module> (train.py:37)",
    ]
    assert found.num_frames == 65


def test_it_says_where_two_samples_parted():
    deep = [("f (scheduler.py:1)", f"{LIBRARY}/a/scheduler.py"), *LOCKED]
    events = [stack(0, LOCKED), stack(1, WAITS), stack(0, deep, scan=102), stack(1, WAITS, scan=102)]
    moved = {tuple(one.ranks): (one.moved, one.parted) for one in merged(*events)}
    assert moved == {(0,): (True, "load (data.py)"), (1,): (False, "")}
    looped = [stack(0, LOCKED), stack(0, at(LOCKED, 1, 33), scan=102)]
    assert merged(*looped)[0].parted == "main (train.py)"


def test_one_sample_or_two_tools_say_nothing_of_movement():
    assert merged(stack(0, WAITS))[0].moved is None
    pair = stack(0, WAITS), stack(0, LOCKED, scan=102, via="faulthandler")
    assert merged(*pair)[0].moved is None


def test_a_stack_that_was_empty_the_second_time_is_the_first_one():
    found = merged(stack(0, WAITS), stack(0, [], scan=102))
    assert (found[0].num_frames, found[0].moved) == (5, None)


def test_a_rank_without_a_python_frame_is_a_class_and_takes_nothing_from_the_others():
    found = merged(stack(0, WAITS), stack(1, []), stack(2, LOCKED))
    assert {tuple(one.ranks): one.num_shared for one in found} == {(0,): 2, (1,): 0, (2,): 2}


def test_no_look_no_classes():
    assert merged() == []


LINES = st.sampled_from([7, 8, 9])
STACKS = st.one_of(
    st.builds(at, st.just(WAITS), st.integers(0, 4), LINES),
    st.builds(at, st.just(LOCKED), st.integers(0, 2), LINES),
    st.just([]),
)
LOOKS = st.dictionaries(st.integers(0, 40), st.tuples(STACKS, STACKS | st.none(), st.booleans()), min_size=1)


def events_of(look):
    first = [stack(r, one, active=active) for r, (one, _, active) in look.items()]
    return first + [stack(r, two, scan=102) for r, (_, two, _) in look.items() if two is not None]


@given(LOOKS, st.sets(st.integers(0, 40)), st.randoms(use_true_random=False))
def test_the_classes_part_exactly_the_ranks_with_stacks_in_any_order_of_events(look, culprits, chance):
    events = events_of(look)
    found = merged(*events, culprits=culprits)
    assert sorted(rank for one in found for rank in one.ranks) == sorted(look)
    assert all(one.ranks == sorted(one.ranks) for one in found)
    chance.shuffle(events)
    assert merged(*events, culprits=culprits) == found


@given(LOOKS)
def test_one_rank_of_each_class_is_a_class_of_its_own(look):
    events = events_of(look)
    firsts = {one.ranks[0] for one in merged(*events)}
    assert sorted(ranks(*(e for e in events if e.rank in firsts))) == sorted([rank] for rank in firsts)


@given(LOOKS)
def test_a_rank_like_another_joins_its_class(look):
    twice = merged(*events_of(look | {rank + 100: stacks for rank, stacks in look.items()}))
    assert [[rank for rank in one.ranks if rank < 100] for one in twice] == ranks(*events_of(look))
    assert all(len(one.ranks) % 2 == 0 for one in twice)


JUNK = st.text(max_size=40)


@given(st.lists(st.tuples(JUNK, JUNK), max_size=20), st.lists(st.tuples(JUNK, JUNK), max_size=20))
def test_odd_frames_are_no_error(one, other):
    found = merged(stack(0, one), stack(1, other), stack(0, other, scan=102))
    assert sorted(rank for each in found for rank in each.ranks) == [0, 1]

"""Ranks that no recorder saw wait: whether each is stuck by itself, slow, or may wait for another."""

from diagnose.facts import activity
from diagnose.model import Event, Evidence
from diagnose.pipeline import judge
from tests.facts.doing import (
    ALL_REDUCE,
    BOOK,
    LOADER,
    LOCKED,
    SCANS,
    TORCH,
    TRAIN,
    alone,
    job,
    proc,
    silent,
    stack,
    twice,
)


def test_a_look_during_which_the_job_went_on_shows_no_cause():
    busy = [stack(1, s, [("evaluate", TRAIN)], active=True) for s in SCANS]
    assert [f for f, *_ in job(*busy)] == ["user_loop"]
    went_on = Event("job.progressed", "agent", "attempts/1/events/x.jsonl:1", 101.5, data={"ranks": [0, 1]})
    assert job(*busy, went_on) == []


def test_a_rank_that_raised_and_then_waits_for_its_threads_is_on_its_way_out():
    told = {"type": "ValueError", "message": "bad", "thread": "MainThread"}
    raised = Event("exception.raised", "rank_hook", "errors/rank-00001.json", 90.0, rank=1, data=told)
    events = [*twice(1, [("_shutdown", "/usr/lib/python3.11/threading.py")], syscall=202), raised]
    evidence = Evidence(events=events, ranks=[1], read=frozenset({"agent", "stack_dump", "rank_hook"}))
    taken = Event("evidence.taken", "agent", "x", 103.0, data={"time_dirs": list(SCANS), "cause": "stalled"})
    evidence = Evidence(events=[*events, taken], ranks=[1], read=evidence.read)
    assert list(activity.derive(evidence)) == []


def test_ranks_that_import_on_a_crowded_machine_are_slow_not_stuck():
    base = [("_find_and_load", "<frozen importlib._bootstrap>"), ("<module>", TRAIN)]
    at = [[(name, TORCH + "fx/graph.py"), *base] for name in ("codegen", "_rewrite")]
    moves = [stack(rank, scan, frames) for rank in (0, 1) for scan, frames in zip(SCANS, at, strict=True)]
    still = [stack(1, scan, at[0]) for scan in SCANS]
    assert silent(*moves).symptom == "slow"
    assert silent(*[e for e in moves if e.rank == 0], *still).symptom == "hang"


def test_where_every_rank_stands_still_by_itself_each_that_is_stuck_is_named():
    stuck = [e for r in (0, 1) for e in twice(r, LOADER)]
    assert alone(*stuck) == [("dataloader_stalled", [0, 1], "likely")]
    assert alone(*twice(0, LOADER), *twice(1, [("main", TRAIN)])) == [("dataloader_stalled", [0], "likely")]


def test_a_single_process_that_waits_for_a_lock_is_stuck():
    lock = [("Condition.wait", "/usr/lib/python3.11/threading.py"), ("main", TRAIN)]
    assert alone(*twice(0, lock, syscall=202), num_ranks=1) == [("user_lock_deadlock", [0], "likely")]


def test_ranks_that_may_wait_for_each_other_unseen_are_not_stuck_by_themselves():
    """A work.wait() that no recorder saw shows the program's own frame and a futex."""
    assert alone(*(e for r in (0, 1) for e in twice(r, [("main", TRAIN)], syscall=202))) == []
    assert alone(*(proc(r, s, **LOCKED) for r in (0, 1) for s in SCANS)) == []


def test_while_any_thread_of_any_rank_works_nobody_is_stuck_by_itself():
    works = [stack(1, s, [("main", TRAIN)]) for s in SCANS]
    works += [proc(1, "100", **LOCKED), proc(1, "102", **{**LOCKED, "cpu_s": 3.0})]
    assert alone(*twice(0, LOADER), *works) == []


def test_where_no_dump_says_so_the_stacks_tell_that_a_rank_waits_for_another():
    assert alone(*twice(0, LOADER), *twice(1, ALL_REDUCE)) == [("dataloader_stalled", [0], "likely")]
    assert alone(*twice(0, ALL_REDUCE), *twice(1, ALL_REDUCE)) == []


def test_a_rank_that_nobody_looked_at_may_be_the_one_that_works():
    assert alone(*twice(0, LOADER), num_ranks=2) == []


def foreign(frames):
    """Causes of dumps that somebody took once: rank 0 waits, rank 1 stands at `frames`."""
    rows = [
        Event(
            "flight.group_read",
            "flight_recorder",
            f"dump_{r}",
            rank=r,
            data={"group": "0", "desc": "default_pg", "launched": 5 - r, "completed": 4, "ranks": [0, 1]},
        )
        for r in (0, 1)
    ]
    dumps = [
        Event("stack.read", "stack_dump", f"pyspy_{e.rank}.txt", rank=e.rank, data=e.data)
        for e in (stack(0, "100", ALL_REDUCE), stack(1, "100", frames))
    ]
    verdict = judge("bundle", [*rows, *dumps], BOOK)
    return [(c.failure, c.ranks, c.grade) for c in verdict.causes]


def test_one_foreign_dump_names_what_it_shows_as_likely():
    assert foreign(LOADER) == [("dataloader_stalled", [1], "likely")]
    lock = [("Condition.wait", "/usr/lib/python3.11/threading.py"), ("main", TRAIN)]
    assert foreign(lock) == [("user_lock_deadlock", [1], "likely")]
    assert foreign([("main", TRAIN)]) == [("collective_not_joined", [1], "likely")]

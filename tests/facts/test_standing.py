"""Who waits by stacks alone: what may be said of it, and what may not."""

import pytest

from diagnose import pipeline
from diagnose.coverage import gather
from diagnose.judge import match
from diagnose.model import Event, Status
from diagnose.playbook import load

BOOK = load()
WAITING = ["all_reduce (distributed_c10d.py:3252)", "step (train.py:40)", "<module> (train.py:90)"]
GATHERING = ["all_gather (distributed_c10d.py:4000)", "share (train.py:52)", "<module> (train.py:91)"]
SENDING = ["broadcast (distributed_c10d.py:2800)", "share (train.py:53)", "<module> (train.py:91)"]
LOCKED = ["save (train.py:61)", "<module> (train.py:92)"]
BUSY = ["tokenise (train.py:70)", "<module> (train.py:93)"]


def stands(rank, frames, later=None, active=False, **process):
    """One rank in two scans; what differs in the second is given by pairs."""
    found = []
    for scan, stack in (("100", frames), ("103", later or frames)):
        told = {k: v[scan == "103"] if isinstance(v, tuple) else v for k, v in process.items()}
        libraries = ("all_", "recv", "broadcast", "backward", "_engine")
        paths = ["/v/site-packages/torch/x.py" if f.startswith(libraries) else "/srv/train.py" for f in stack]
        data = {"main": stack, "paths": paths, "active": active}
        where = f"attempts/1/stacks/{scan}/rank-{rank:05d}.json"
        found.append(Event("stack.read", "stack_dump", where, rank=rank, data=data))
        data = {"dir": scan, "state": "S", "syscall": 202, "cpu_s": 5.0, "switches": 40, "still_s": 30.0}
        data |= {"gloo_open": int("distributed" in stack[0]), "gloo_threads": 2, "gloo_turns": 9, **told}
        found.append(Event("proc.dumped", "agent", f"attempts/1/events/a.jsonl:{rank}", rank=rank, data=data))
    return found


def evidence(*ranks, size=None, more=(), stall_after_s=120.0):
    place = "attempts/1/events/a.jsonl:1"
    taken = {"time_dirs": ["100", "103"], "cause": "asked"}
    size = size or len(ranks)
    events = [
        Event("attach.started", "agent", place, time=99.0, data={"stall_after_s": stall_after_s}),
        *(Event("rank.found", "agent", place, rank=e[0].rank, data={"world_size": size}) for e in ranks),
        *(event for each in ranks for event in each),
        Event("evidence.taken", "agent", place, time=104.0, data=taken),
        *more,
    ]
    return gather(events)


def findings(found):
    facts = pipeline.derive(found)
    return {name: match(name, one, facts, found, pipeline.needs()) for name, one in BOOK.failures.items()}


def causes(found):
    verdict = pipeline.judge("bundle", found.events, BOOK)
    return [(cause.failure, cause.ranks, cause.grade) for cause in verdict.causes], verdict.symptom


WAITERS = [stands(0, WAITING), stands(2, WAITING)]


def test_a_rank_that_stands_elsewhere_while_the_others_wait_is_likely_the_one():
    assert causes(evidence(*WAITERS, stands(1, LOCKED)))[0] == [("user_lock_deadlock", [1], "likely")]


def test_a_bare_wait_is_no_lock_where_the_others_send_and_receive():
    """What it waits for may be a send that it began before: gloo has none of these in hand."""
    receives = ["recv (distributed_c10d.py:2799)", "share (train.py:53)"]
    pair = [stands(r, receives, gloo_open=0) for r in (0, 2)]
    assert causes(evidence(*pair, stands(1, LOCKED)))[0] == []
    asleep = stands(1, LOCKED, syscall=230)
    assert causes(evidence(*pair, asleep, stall_after_s=20.0))[0] == [
        ("collective_not_joined", [1], "likely")
    ]


def test_a_rank_at_work_is_not_to_blame_before_the_wait_counts_as_a_stall():
    busy = stands(1, BUSY, active=True, cpu_s=(5.0, 8.0), switches=(1, 90))
    young = findings(evidence(*WAITERS, busy))["user_loop"]
    assert (young.status, young.ranks) == (Status.UNKNOWN, [1])
    old = findings(evidence(*WAITERS, busy, stall_after_s=20.0))["user_loop"]
    assert (old.status, old.ranks, old.grade) == (Status.PRESENT, [1], "likely")


def test_the_same_holds_where_the_flight_recorder_tells_who_waits():
    def dump(rank, launched):
        data = {"group": "0", "desc": "default_pg", "launched": launched, "completed": 6, "entries": []}
        where = f"attempts/1/flight/103/rank-{rank:05d}.json"
        return Event("flight.group_read", "flight_recorder", where, rank=rank, data=data)

    busy = stands(1, BUSY, active=True, cpu_s=(5.0, 8.0), switches=(1, 90))
    dumps = [dump(0, 7), dump(1, 6), dump(2, 7)]
    assert causes(evidence(*WAITERS, busy, more=dumps)) == ([], "unknown")
    [cause], symptom = causes(evidence(*WAITERS, busy, more=dumps, stall_after_s=20.0))
    assert (cause[:2], symptom) == (("user_loop", [1]), "hang")


def test_a_rank_that_only_sleeps_may_yet_come():
    sleeper = stands(1, LOCKED, syscall=230)
    assert causes(evidence(*WAITERS, sleeper)) == ([], "unknown")


def test_where_a_waiting_rank_has_moved_nobody_is_to_blame():
    moved = stands(0, WAITING, switches=(40, 41), gloo_turns=(9, 11))
    assert causes(evidence(moved, WAITERS[1], stands(1, LOCKED)))[0] == []


def test_a_job_whose_collectives_complete_moves():
    moving = [stands(r, WAITING, switches=(40, 80), gloo_turns=(9, 30)) for r in range(3)]
    assert causes(evidence(*moving)) == ([], "none")


def test_ranks_that_are_all_in_one_call_accuse_nobody():
    assert causes(evidence(*(stands(r, WAITING) for r in range(4))))[0] == []


def test_ranks_that_wait_in_several_calls_are_not_said_to_be_in_one():
    found = evidence(stands(0, WAITING), stands(1, GATHERING))
    waits = pipeline.judge("bundle", found.events, BOOK).waits
    assert [(wait.op, wait.waiting, wait.awaited) for wait in waits] == [
        ("all_reduce", [0], []),
        ("all_gather", [1], []),
    ]


def test_a_strict_majority_in_one_call_names_who_is_in_another():
    ranks = [stands(r, WAITING) for r in (0, 1, 3)]
    assert causes(evidence(*ranks, stands(2, GATHERING)))[0] == [("collective_skipped", [2], "likely")]
    elsewhere = [WAITING[0], "step (train.py:44)", *WAITING[2:]]
    assert causes(evidence(*ranks, stands(2, elsewhere)))[0] == [("collective_not_joined", [2], "likely")]


def test_one_in_a_barrier_is_the_odd_one_where_nothing_tells_of_groups():
    def foreign(rank, frames):
        data = {"main": frames, "paths": ["/v/site-packages/torch/x.py", *["/srv/train.py"] * 2]}
        return [Event("stack.read", "stack_dump", f"pyspy/rank{rank}.txt", rank=rank, data=data)]

    def told(*ranks):
        verdict = pipeline.judge("bundle", [event for each in ranks for event in each], BOOK)
        return [(cause.failure, cause.ranks, cause.grade) for cause in verdict.causes]

    barrier = ["barrier (distributed_c10d.py:4159)", *GATHERING[1:]]
    usual = [foreign(rank, WAITING) for rank in (1, 2, 3)]
    assert told(foreign(0, barrier), *usual) == [("collective_skipped", [0], "likely")]
    assert told(foreign(0, GATHERING), *usual) == []  # may be of a group in which another left it out
    assert told(foreign(0, barrier), *usual[:2]) == []


@pytest.mark.parametrize(
    ("frames", "more"),
    [(SENDING, {}), (GATHERING, {"gloo_threads": 4})],
    ids=["one that the sender leaves early", "one of several groups"],
)
def test_a_majority_says_nothing_where_ranks_may_rightly_stand_apart(frames, more):
    ranks = [stands(r, WAITING, **more) for r in (0, 1, 3)]
    assert causes(evidence(*ranks, stands(2, frames, **more)))[0] == []


def test_two_against_two_is_no_majority():
    ranks = [stands(r, frames) for r, frames in enumerate([WAITING, WAITING, GATHERING, GATHERING])]
    assert causes(evidence(*ranks))[0] == []


def test_a_majority_of_those_seen_is_none_where_others_run_elsewhere():
    ranks = [stands(r, WAITING) for r in (0, 1, 3)]
    assert causes(evidence(*ranks, stands(2, GATHERING), size=8))[0] == []


def spinning(rank):
    line = ["step (train.py:44)", "<module> (train.py:90)"]
    return stands(rank, line, active=True, cpu_s=(5.0, 8.0), still_s=0.0, gloo_open=None, gloo_turns=None)


def test_where_no_frame_tells_of_a_wait_one_that_has_long_not_run_is_the_odd_one():
    ranks = [spinning(rank) for rank in (0, 2, 3)]
    assert causes(evidence(*ranks, stands(1, LOCKED, still_s=300.0, gloo_open=None)))[0] == [
        ("user_lock_deadlock", [1], "likely")
    ]
    assert causes(evidence(*ranks, stands(1, LOCKED, still_s=30.0, gloo_open=None)))[0] == []
    assert causes(evidence(*ranks[:1], stands(1, LOCKED, still_s=300.0, gloo_open=None)))[0] == []


def test_in_a_backward_pass_a_rank_waits_only_if_gloo_has_something_in_hand():
    backward = ["_engine_run_backward (graph.py:979)", "backward (__init__.py:395)", "step (train.py:41)"]
    late = stands(1, LOCKED)
    assert causes(evidence(*(stands(r, backward, gloo_open=1) for r in (0, 2)), late))[0] != []
    assert causes(evidence(*(stands(r, backward, gloo_open=0) for r in (0, 2)), late))[0] == []


def gone(rank):
    data = {"ranks": [rank], "reason": "no process"}
    return Event("ranks.missing", "agent", "attempts/1/events/a.jsonl:2", data=data)


def test_a_rank_without_a_process_that_the_others_wait_for_is_gone():
    found = evidence(*WAITERS, size=3, more=[gone(1)])
    assert causes(found)[0] == [("rank_silent", [1], "likely")]


def test_a_rank_without_a_process_that_the_others_wait_for_in_the_rendezvous_never_came_up():
    joining = ["_create_c10d_store (rendezvous.py:189)", "init_process_group (distributed_c10d.py:1766)"]
    asking = {"gloo_open": None, "switches": (7, 90)}  # the store
    for stall_after_s, named in ((20.0, [("rank_never_started", [1])]), (120.0, [])):
        waiters = [stands(r, joining, **asking) for r in (0, 2)]
        found = evidence(*waiters, size=3, more=[gone(1)], stall_after_s=stall_after_s)
        assert [cause[:2] for cause in causes(found)[0]] == named, "it may yet be started"


LOADING = ["_try_get_data (dataloader.py:1297)", "_next_data (dataloader.py:1460)", "train (train.py:22)"]


def loads(rank, syscall, later=None):
    """A rank that waits for its loader, which wakes it now and then, and a worker in the program's code."""
    found = stands(rank, LOADING, syscall=7, switches=(40, 41))
    fetch = ["read (train.py:10)", "fetch (fetch.py:54)", "_worker_loop (worker.py:349)"]
    for scan in ("100", "103"):
        data = {"worker": 77, "dir": scan, "main": fetch, "paths": ["/srv/train.py"], "active": False}
        where = f"attempts/1/stacks/{scan}/rank-{rank:05d}.worker-77.json"
        found.append(Event("worker.stack_read", "stack_dump", where, rank=rank, data=data))
        used = {"worker": 77, "dir": scan, "state": "S", "syscall": syscall, "cpu_s": 5.0, "main_cpu_s": 5.0}
        found.append(Event("worker.dumped", "agent", "attempts/1/events/a.jsonl:9", rank=rank, data=used))
    return found


def test_a_loader_that_only_wakes_to_look_after_its_workers_is_not_at_work():
    reads, sleeps = 0, 230
    assert causes(evidence(*WAITERS, loads(1, reads)))[0] == [("dataloader_stalled", [1], "likely")]
    assert causes(evidence(*WAITERS, loads(1, sleeps))) == ([], "unknown")
    assert causes(evidence(*WAITERS, loads(1, sleeps), stall_after_s=20.0))[0] == [
        ("dataloader_stalled", [1], "likely")
    ]

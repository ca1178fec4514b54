"""Worker processes of a rank: what they do is what its loader does."""

import pytest

from diagnose.activity import of_workers
from diagnose.model import Event
from diagnose.pipeline import judge
from tests.facts.doing import (
    BOOK,
    LOADER,
    SCANS,
    TORCH,
    TRAIN,
    alone,
    job,
    look,
    proc,
    read,
    stack,
    twice,
)

BORN = [
    ("_worker_loop", TORCH + "utils/data/_utils/worker.py"),
    ("BaseProcess._bootstrap", "multiprocessing/process.py"),
]
FETCH = [("_MapDatasetFetcher.fetch", TORCH + "utils/data/_utils/fetch.py"), *BORN]


def worker(pid, frames, **data):
    return [
        e
        for s in SCANS
        for e in (
            stack(1, s, frames, "worker.stack_read", worker=pid),
            proc(1, s, "worker.dumped", worker=pid, **data),
        )
    ]


def test_a_worker_that_waits_for_a_lock_is_a_deadlock_of_its_rank():
    stuck = worker(77, [("Words.__getitem__", TRAIN), *FETCH], syscall=202)
    assert job(*twice(1, LOADER), *stuck) == [("user_lock_deadlock", [1], "proven")]


def test_a_worker_that_is_stuck_elsewhere_leaves_the_loader_stalled():
    stuck = worker(77, [("Shards.__getitem__", TRAIN), *FETCH], syscall=257)
    assert job(*twice(1, LOADER), *stuck) == [("dataloader_stalled", [1], "proven")]


def test_a_worker_in_d_state_is_the_storages_fault():
    stuck = worker(77, [("Shards.__getitem__", TRAIN), *FETCH], state="D", syscall=0, file="/mnt/data/7.bin")
    assert job(*twice(1, LOADER), *stuck) == [("storage_stalled", [1], "proven")]


def test_a_worker_that_was_stopped_stalls_the_loader_and_the_rank_itself_is_not_frozen():
    stuck = worker(77, [("Shards.__getitem__", TRAIN), *FETCH], state="T")
    assert job(*twice(1, LOADER), *stuck) == [("dataloader_stalled", [1], "proven")]


def test_a_loader_whose_worker_still_reads_is_slow_not_stuck():
    reading = [("Shards.__getitem__", TRAIN), *FETCH]
    slow = [
        *(stack(1, s, reading, "worker.stack_read", worker=77) for s in SCANS),
        proc(1, "100", "worker.dumped", worker=77),
        proc(1, "102", "worker.dumped", worker=77, io_bytes=9_000_000),
    ]
    assert read(*twice(1, LOADER), *slow) == ("loader", True)


def test_a_helper_of_the_program_is_no_worker_of_its_loader():
    monitor = [("watch", TRAIN), ("BaseProcess._bootstrap", "multiprocessing/process.py")]
    works = [
        *(stack(1, s, monitor, "worker.stack_read", worker=5, active=True) for s in SCANS),
        proc(1, "100", "worker.dumped", worker=5, state="R"),
        proc(1, "102", "worker.dumped", worker=5, state="R", main_cpu_s=3.0),
    ]
    assert read(*twice(1, LOADER), *works) == ("loader", False)
    locked = [*(stack(1, s, monitor, "worker.stack_read", worker=6) for s in SCANS)]
    locked += [proc(1, s, "worker.dumped", worker=6, syscall=202) for s in SCANS]
    assert job(*twice(1, LOADER), *works, *locked) == [("dataloader_stalled", [1], "proven")]


def test_a_worker_without_work_and_what_it_inherited_from_its_parent_say_nothing():
    idle = [("Queue.get", "multiprocessing/queues.py"), *BORN, *LOADER[2:]]
    busy = [("Shards.__getitem__", TRAIN), *FETCH, *LOADER[2:]]
    found = of_workers(look(*worker(7, idle, syscall=7), *worker(8, busy, syscall=7)), 1)
    assert [(w.worker, w.is_) for w in found] == [(8, "blocked")]


def test_a_worker_without_a_stack_says_nothing_unless_the_kernel_holds_it():
    bare = [proc(1, s, "worker.dumped", worker=7, syscall=202) for s in SCANS]
    held = [proc(1, s, "worker.dumped", worker=8, state="D") for s in SCANS]
    assert [(w.worker, w.is_) for w in of_workers(look(*bare, *held), 1)] == [(8, "storage")]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("DataLoader worker (pid 4711) is killed by signal: Killed. ", ("dataloader_stalled", [1])),
        ("DataLoader worker (pid(s) 4711, 4712) exited unexpectedly", ("dataloader_stalled", [1])),
        ("DataLoader timed out after 5 seconds", ("dataloader_stalled", [1])),
        ("DataLoader worker (pid 4711) is killed by signal: Terminated. ", ("rank_exception", [1])),
        ("Caught ValueError in DataLoader worker process 0.", ("rank_exception", [1])),
    ],
)
def test_a_worker_that_died_is_the_loaders_fault_and_one_that_raised_is_the_programs(message, found):
    where = "attempts/1/errors/rank-00001.json"
    told = {"type": "RuntimeError", "message": message, "frames": ["train.py:7 in main"]}
    raised = Event("exception.raised", "rank_hook", where, 10.0, rank=1, data=told)
    died = Event("rank.died", "agent", where, 11.0, rank=1, data={"exit_code": 1})
    verdict = judge("run", [raised, died], BOOK)
    assert [(c.failure, c.ranks) for c in verdict.causes] == [found]


def test_a_worker_that_goes_while_it_hands_over_a_batch_is_the_loaders_fault():
    frames = [
        "/app/train.py:45 in main",
        "/v/site-packages/torch/utils/data/dataloader.py:1291 in _try_get_data",
        "/usr/lib/python3.11/multiprocessing/resource_sharer.py:58 in detach",
        "/usr/lib/python3.11/multiprocessing/reduction.py:157 in recvfds",
    ]
    data = {"type": "ConnectionResetError", "message": "[Errno 104] Connection reset by peer"}
    own = Event("exception.raised", "rank_hook", "e:1", 99.0, rank=1, data={**data, "frames": frames})
    elsewhere = Event(
        "exception.raised", "rank_hook", "e:1", 99.0, rank=1, data={**data, "frames": frames[:1]}
    )
    assert [c[:2] for c in alone(own)] == [("dataloader_stalled", [1])]
    assert "dataloader_stalled" not in [c[0] for c in alone(elsewhere)]

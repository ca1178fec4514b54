"""What ranks and their workers do: from two scans of stacks and process states, on the smallest evidence."""

import pytest

from diagnose.activity import by_stack, of_rank, of_workers
from diagnose.activity import may_be_work as may_be_work_of
from diagnose.facts import activity
from diagnose.looks import Look
from diagnose.model import Event, Evidence
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
TRAIN, TORCH = "/app/train.py", "/v/lib/python3.11/site-packages/torch/"
LOADER = [
    ("_PollLikeSelector.select", "/usr/lib/python3.11/selectors.py"),
    ("Queue.get", "/usr/lib/python3.11/multiprocessing/queues.py"),
    ("_MultiProcessingDataLoaderIter._try_get_data", TORCH + "utils/data/dataloader.py"),
    ("main", TRAIN),
]
ALL_REDUCE = [("all_reduce", TORCH + "distributed/distributed_c10d.py"), ("main", TRAIN)]
BORN = [
    ("_worker_loop", TORCH + "utils/data/_utils/worker.py"),
    ("BaseProcess._bootstrap", "multiprocessing/process.py"),
]
FETCH = [("_MapDatasetFetcher.fetch", TORCH + "utils/data/_utils/fetch.py"), *BORN]
QUIET = {"state": "S", "syscall": 7, "cpu_s": 1.0, "main_cpu_s": 1.0, "io_bytes": 100}
LOCKED = {**QUIET, "syscall": 202}
SCANS = ("100", "102")


def stack(rank, scan, frames, kind="stack.read", gil=None, line=7, **data):
    if gil:
        data |= {
            "gil_thread": gil,
            "gil_is_main": gil == "MainThread",
            "gil_stack": [f"{frames[0][0]} (x.py:1)"],
        }
    told = {
        "main": [f"{f} ({p.rpartition('/')[2]}:{line})" for f, p in frames],
        "paths": [p for _, p in frames],
    }
    where = f"attempts/1/stacks/{scan}/rank-{rank:05d}.json"
    return Event(kind, "stack_dump", where, float(scan), rank=rank, data={"active": False, **told, **data})


def proc(rank, scan, kind="proc.dumped", **data):
    where = "attempts/1/events/agent-000001.jsonl:1"
    return Event(kind, "agent", where, float(scan), rank=rank, data={"dir": scan, **QUIET, **data})


def look(*events):
    scans = [[e for e in events if e.time == float(scan)] for scan in SCANS]
    return Look(cause="stalled", time=103.0, scans=scans)


def twice(rank, frames, **data):
    return [e for s in SCANS for e in (stack(rank, s, frames), proc(rank, s, **data))]


def read(*events, waits=False):
    found = of_rank(look(*events), 1, waits)
    return found and (found.is_, found.moving)


def job(*events, taken=103.0, cause="stalled"):
    """A verdict's causes: rank 0 waits in a collective that rank 1 has not launched."""
    rows = [
        Event(
            "flight.group_read",
            "flight_recorder",
            f"attempts/1/flight/{s}/rank-{r:05d}.json",
            float(s),
            rank=r,
            data={"group": "0", "desc": "default_pg", "launched": 5 - r, "completed": 4, "ranks": [0, 1]},
        )
        for s in SCANS
        for r in (0, 1)
    ]
    where = "attempts/1/events/agent-000001.jsonl:2"
    found = {"time_dirs": list(SCANS), "cause": cause, "seconds": 2.1}
    ends = [
        Event("rank.found", "agent", where, 1.0, rank=r, data={"world_size": 2, "pid": 10 + r})
        for r in (0, 1)
    ]
    stall = Event("job.stalled", "agent", where, 100.0, data={"silent_s": 4.0, "ranks": [0, 1]})
    look = Event("evidence.taken", "agent", where, taken, data=found)
    verdict = judge("run", [*ends, stall, *rows, *twice(0, ALL_REDUCE, syscall=202), *events, look], BOOK)
    return [(c.failure, c.ranks, c.grade) for c in verdict.causes]


@pytest.mark.parametrize(
    ("function", "path", "is_"),
    [
        ("_MultiProcessingDataLoaderIter._next_data", TORCH + "utils/data/dataloader.py", "loader"),
        ("train_epoch", "/app/dataloader.py", None),
        ("Condition.wait", "/usr/lib/python3.11/threading.py", "lock"),
        ("_open_zipfile_writer_file.__init__", TORCH + "serialization.py", None),
        ("save", TORCH + "serialization.py", "checkpoint"),
        ("FileSystemWriter.write_data", TORCH + "distributed/checkpoint/filesystem.py", "checkpoint"),
        ("synchronize", TORCH + "cuda/__init__.py", "device"),
        ("Work.synchronize", "/app/work.py", None),
        ("_shutdown", "/usr/lib/python3.11/threading.py", "exit"),
    ],
)
def test_a_frame_is_known_by_its_last_name_and_its_file(function, path, is_):
    settled = by_stack(stack(1, "100", [(function, path), ("main", TRAIN)]))
    assert (settled and settled[0]) == is_


def test_what_a_program_does_while_it_is_imported_counts_for_more_than_the_import():
    outer = [("<module>", TRAIN), ("_find_and_load", "<frozen importlib._bootstrap>")]
    assert by_stack(stack(1, "100", [*LOADER, *outer]))[0] == "loader"
    assert by_stack(stack(1, "100", outer))[0] == "import"
    module = ("<module>", TORCH + "distributed/distributed_c10d.py")
    assert by_stack(stack(1, "100", [module, *outer]))[0] == "import"


def test_a_heartbeat_that_works_and_logs_is_no_move_of_the_main_thread():
    first, last = proc(1, "100", **LOCKED), proc(1, "102", **{**LOCKED, "cpu_s": 2.0})
    own = [("main", TRAIN)]
    assert read(stack(1, "100", own), first, stack(1, "102", own), last) == ("lock", False)


def test_without_the_main_threads_own_clock_the_process_is_what_moves():
    def old(scan, cpu_s):
        return proc(1, scan, **{**LOCKED, "main_cpu_s": None, "io_bytes": None, "cpu_s": cpu_s})

    own = [("main", TRAIN)]
    assert read(stack(1, "100", own), old("100", 1.0), stack(1, "102", own), old("102", 2.0)) == (
        "lock",
        True,
    )


def test_a_slow_checkpoint_whose_bytes_rise_moves_and_a_stuck_one_does_not():
    saving = [("save", TORCH + "serialization.py"), ("main", TRAIN)]
    slow = [stack(1, "100", saving), proc(1, "100"), stack(1, "102", saving), proc(1, "102", io_bytes=50_000)]
    assert read(*slow) == ("checkpoint", True)
    assert job(*slow) == [("collective_not_joined", [1], "likely")]
    assert job(*twice(1, saving)) == [("checkpoint_stalled", [1], "proven")]


def test_a_checkpoint_in_d_state_is_the_storages_fault_with_or_without_a_stack():
    saving = [("save", TORCH + "serialization.py"), ("main", TRAIN)]
    assert job(*twice(1, saving, state="D")) == [("storage_stalled", [1], "proven")]
    assert job(*(proc(1, s, state="D") for s in SCANS)) == [("storage_stalled", [1], "proven")]


def test_a_thread_in_d_state_that_the_main_one_waits_for_is_the_storages_fault():
    lock = [("Condition.wait", "/usr/lib/python3.11/threading.py"), ("main", TRAIN)]
    deep = {**LOCKED, "deep": [[91, "/mnt/step.pt"]], "total_io_bytes": 7}
    assert job(*twice(1, lock, **deep)) == [("storage_stalled", [1], "proven")]
    writes = [stack(1, s, lock) for s in SCANS]
    writes += [proc(1, "100", **deep), proc(1, "102", **{**deep, "total_io_bytes": 9_000_000})]
    assert "storage_stalled" not in [f for f, *_ in job(*writes)]


@pytest.mark.parametrize("junk", [7, "x", [7], [[]], [[[1], "x"]], [[1, 2, 3]], {"a": 1}, [{}], None])
def test_events_that_hold_anything_at_all_break_nothing(junk):
    bad = {
        k: junk
        for k in ("main", "paths", "others", "gil_stack", "deep", "worker", "state", "syscall", "cpu_s")
    }
    events = [
        Event(kind, "agent", "x", float(s), rank=1, data={**bad, "dir": s})
        for s in SCANS
        for kind in ("stack.read", "proc.dumped", "worker.stack_read", "worker.dumped", "interpreter.asked")
    ]
    of_rank(look(*events), 1, False)
    of_workers(look(*events), 1)


def test_an_asynchronous_checkpoint_that_still_writes_moves():
    wait = [("Future.result", "/usr/lib/python3.11/concurrent/futures/_base.py"), ("main", TRAIN)]
    saver = other("saver", [("write_data", TORCH + "distributed/checkpoint/filesystem.py")], active=False)
    stacks = [stack(1, s, wait, others=[saver]) for s in SCANS]
    first, last = ({**LOCKED, "total_io_bytes": num} for num in (7, 9_000_000))
    assert read(*stacks, proc(1, "100", **first), proc(1, "102", **last)) == ("checkpoint", True)
    assert read(*stacks, *(proc(1, s, **first) for s in SCANS)) == ("checkpoint", False)


def test_a_busy_disk_that_still_delivers_is_not_stalled():
    slow = [proc(1, "100", state="D"), proc(1, "102", state="D", io_bytes=10_000_000)]
    assert job(*slow) == [("collective_not_joined", [1], "likely")]


def test_a_sleeping_owner_of_the_gil_holds_it():
    own = [("ask", TRAIN)]
    scans = [stack(1, s, own, gil="MainThread", gil_active=False) for s in SCANS]
    assert read(*scans) == ("gil", False)
    assert job(*scans) == [("gil_held", [1], "proven")]


def test_a_busy_owner_of_the_gil_may_be_a_loop_unless_its_interpreter_was_asked_in_vain():
    own = [("fits", TRAIN)]
    scans = [stack(1, s, own, gil="MainThread", gil_active=True, active=True) for s in SCANS]
    assert read(*scans) == ("busy", False)
    asked = Event("interpreter.asked", "agent", "x", 102.0, rank=1, data={"dir": "102", "held": True})
    assert read(*scans, asked) == ("gil", False)
    gave = Event("interpreter.asked", "agent", "x", 102.0, rank=1, data={"dir": "102", "held": False})
    assert read(*scans, gave) == ("busy", False)


def test_a_call_that_spins_without_the_gil_is_no_loop_of_the_program():
    own = [("train_step", TRAIN)]
    spins = [stack(1, s, own, active=True, owns_gil=False) for s in SCANS]
    assert read(*spins) == ("native", False)
    assert job(*spins) == [("collective_not_joined", [1], "proven")]
    other_line = stack(1, "102", own, active=True, owns_gil=False, line=8)
    assert read(spins[0], other_line) == ("busy", True)
    assert read(spins[0], stack(1, "102", own, active=True, owns_gil=True)) == ("busy", False)


def test_another_thread_that_holds_the_gil_is_named():
    own = [("Queue.get", "/usr/lib/python3.11/queue.py"), ("main", TRAIN)]
    scans = [stack(1, s, own, gil="heartbeat", gil_active=False) for s in SCANS]
    found = of_rank(look(*scans), 1, False)
    assert found and (found.is_, found.caller) == ("gil", "Queue.get (x.py:1) in the thread heartbeat")


def test_a_compile_that_holds_the_gil_is_a_compile():
    own = [("compile_fx", TORCH + "_inductor/compile_fx.py"), ("main", TRAIN)]
    assert read(*(stack(1, s, own, gil="MainThread", gil_active=False) for s in SCANS)) == ("compile", False)


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


JOIN = [("Thread.join", "/usr/lib/python3.11/threading.py"), ("main", TRAIN)]


def other(name, frames, **data):
    """A thread beside the main one."""
    return {
        "thread": name,
        "main": [f"{f} (x.py:3)" for f, _ in frames],
        "paths": [p for _, p in frames],
        **data,
    }


def test_a_main_thread_that_waits_for_the_training_thread_does_what_that_one_does():
    trainer = other("trainer", LOADER, active=False)
    library = other("watcher", [("run", "/usr/lib/python3.11/threading.py")], active=False)
    states = [proc(1, s, **LOCKED) for s in SCANS]
    assert read(*(stack(1, s, JOIN, others=[trainer, library]) for s in SCANS), *states) == ("loader", False)
    busy = other("trainer", [("augment", TRAIN)], active=True)
    assert read(*(stack(1, s, JOIN, others=[busy]) for s in SCANS), *states) == ("busy", False)


def test_which_of_several_threads_the_main_one_waits_for_is_not_guessed():
    two = [other("reader", [("read", TRAIN)]), other("heartbeat", [("beat", TRAIN)])]
    states = [proc(1, s, **LOCKED) for s in SCANS]
    assert read(*(stack(1, s, JOIN, others=two) for s in SCANS), *states) == ("lock", False)


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


def silent(*events, num_ranks=2):
    """The verdict on a job that is silent, and nobody waits in a collective."""
    where = "attempts/1/events/agent-000001.jsonl:2"
    ends = [
        Event("rank.found", "agent", where, 1.0, rank=r, data={"world_size": num_ranks, "pid": 10 + r})
        for r in range(num_ranks)
    ]
    stall = Event("job.stalled", "agent", where, 100.0, data={"silent_s": 4.0, "ranks": [0, 1]})
    found = {"time_dirs": list(SCANS), "cause": "stalled", "seconds": 2.1}
    look = Event("evidence.taken", "agent", where, 103.0, data=found)
    return judge("run", [*ends, stall, *events, look], BOOK)


def alone(*events, num_ranks=2):
    """Its causes."""
    verdict = silent(*events, num_ranks=num_ranks)
    return [(c.failure, c.ranks, c.grade) for c in verdict.causes]


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


def test_at_a_failure_a_rank_that_had_no_time_to_come_is_blamed_for_nothing():
    busy = [e for s in SCANS for e in (stack(1, s, [("augment", TRAIN)], active=True), proc(1, s, state="R"))]
    assert [f for f, *_ in job(*busy)] == ["user_loop"]
    told = {"type": "ValueError", "message": "bad", "thread": "MainThread", "frames": ["train.py:9 in main"]}
    raised = Event("exception.raised", "rank_hook", "errors/rank-00000.json", 99.0, rank=0, data=told)
    assert "user_loop" not in [f for f, *_ in job(*busy, raised, cause="raised")]
    lost = {
        **told,
        "type": "RuntimeError",
        "message": "Timed out waiting 9000ms for recv operation to complete",
    }
    raised = Event("exception.raised", "rank_hook", "errors/rank-00000.json", 99.0, rank=0, data=lost)
    assert "user_loop" in [f for f, *_ in job(*busy, raised, cause="raised")]


def test_an_interrupt_after_the_look_does_not_hide_what_the_rank_did_until_then():
    """Ctrl-C: the hook tells when, the log repeats it without a time."""
    data = {"type": "KeyboardInterrupt", "message": "", "end": True}
    dated = Event("exception.raised", "rank_hook", "attempts/1/events/r.jsonl:1", 110.0, rank=1, data=data)
    printed = Event("exception.raised", "rank_log", "attempts/1/logs/rank-00001.log:9", rank=1, data=data)
    loop = [e for s, cpu in zip(SCANS, (1.0, 3.0), strict=True) for e in spinning(s, cpu)]
    assert job(*loop, dated, printed) == job(*loop) == [("user_loop", [1], "likely")]


def spinning(scan, cpu_s):
    own = [("spin", TRAIN), ("main", TRAIN)]
    return [stack(1, scan, own, active=True), proc(1, scan, state="R", main_cpu_s=cpu_s, cpu_s=cpu_s)]


@pytest.mark.parametrize(
    ("frame", "call", "is_", "may_be_work"),
    [
        (("main", TRAIN), "request.wait()", "collective", False),
        (("main", TRAIN), "works[-1].wait(timeout=limit)", "collective", False),
        (("forward_step", TORCH + "distributed/pipelining/schedules.py"), None, "collective", False),
        (("send_forward", "/v/lib/python3.11/site-packages/megatron/p2p.py"), None, "lock", True),
        (("main", TRAIN), "dist.irecv(x, src=0)", "lock", True),
        (("main", TRAIN), "self.lock.acquire()", "lock", False),
        (("main", TRAIN), "", "lock", False),
    ],
)
def test_a_bare_wait_is_for_other_ranks_where_its_line_or_its_library_says_so(frame, call, is_, may_be_work):
    """`work.wait()` is C code without a frame, as is the taking of a lock: the kernel shows one futex."""
    places = [{"frame": f"main ({TRAIN.rpartition('/')[2]}:7)", "call": call}]
    placed = [Event("stack.placed", "agent", "x", 102.0, rank=1, data={"dir": "102", "places": places})]
    seen = look(*twice(1, [frame], **LOCKED), *(placed if call is not None else []))
    found = of_rank(seen, 1, False)
    assert found is not None
    assert (found.is_, may_be_work_of(seen, 1, found)) == (is_, may_be_work)

"""What a rank's main thread does: from two scans of stacks and process states, on the smallest evidence."""

import pytest

from diagnose.activity import may_be_work as may_be_work_of
from diagnose.activity import of_rank, of_workers
from diagnose.model import Event
from diagnose.stackframes import by_stack
from tests.facts.doing import (
    LOADER,
    LOCKED,
    SCANS,
    TORCH,
    TRAIN,
    job,
    look,
    other,
    proc,
    read,
    stack,
    twice,
)


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


def test_one_that_would_run_and_got_no_cpu_is_not_known_to_stand_still():
    busy = [("pack", TRAIN), ("main", TRAIN)]
    scans = [stack(1, "100", busy), proc(1, "100"), stack(1, "102", busy), proc(1, "102")]
    starved = [scans[0], proc(1, "100", state="R"), scans[2], proc(1, "102", state="R")]
    assert read(*scans)[1] is False and read(*starved)[1] is None


def test_a_slow_checkpoint_whose_bytes_rise_moves_and_a_stuck_one_does_not():
    saving = [("save", TORCH + "serialization.py"), ("main", TRAIN)]
    slow = [stack(1, "100", saving), proc(1, "100"), stack(1, "102", saving), proc(1, "102", io_bytes=50_000)]
    assert read(*slow) == ("checkpoint", True)
    assert job(*slow) == [("rank_at_work", [1], "proven")]
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
    assert job(*slow) == [("rank_at_work", [1], "proven")]


def test_a_thread_that_the_kernel_has_asleep_is_not_busy_whatever_py_spy_says():
    acquire = [("main", TRAIN)]
    events = [e for s in SCANS for e in (stack(1, s, acquire, active=True), proc(1, s, **LOCKED))]
    assert read(*events) == ("lock", False)


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

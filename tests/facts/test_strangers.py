"""Processes without a rank: who stands outside the collective is named, nobody where that tells nothing."""

from diagnose import coverage
from diagnose.facts import activity
from diagnose.model import Event, Evidence
from diagnose.strangers import strangers

LOADER = ["_try_get_data (dataloader.py:1131)", "train (train.py:9)"]
REDUCE = ["all_reduce (distributed_c10d.py:2226)", "train (train.py:12)"]
BUSY = ["tokenize (prepare.py:3)", "train (train.py:5)"]
PATHS = {
    "dataloader.py": "torch/utils/data/dataloader.py",
    "distributed_c10d.py": "torch/distributed/distributed_c10d.py",
}


def stack(pid: int, frames: list[str], **data: object) -> Event:
    files = [frame.partition(" (")[2].partition(":")[0] for frame in frames]
    told = {
        "main": frames,
        "paths": [PATHS.get(file, file) for file in files],
        "pid": pid,
        "active": True,
        **data,
    }
    return Event("stack.read", "stack_dump", f"host.txt:{pid}", data=told)


def native(*names: str, **data: object) -> Event:
    told = {"via": "gdb", "frames": list(names), **data}
    return Event("native.stack_read", "native_stack", "gdb.txt:1", data=told)


def facts(*events: Event) -> list[tuple[object, bool]]:
    evidence: Evidence = coverage.gather(list(events))
    return [(f.data["is"], f.inferred) for f in activity.of_strangers(evidence)]


def test_the_one_outside_is_named() -> None:
    assert facts(stack(1, REDUCE), stack(2, LOADER), stack(3, REDUCE)) == [("loader", True)]


def test_nobody_is_where_most_stand_outside() -> None:
    assert facts(stack(1, REDUCE), stack(2, LOADER), stack(3, LOADER)) == []


def test_where_as_many_stand_outside_only_a_wait_by_itself_counts() -> None:
    assert facts(stack(1, REDUCE), stack(2, LOADER)) == [("loader", True)]
    assert facts(stack(1, REDUCE), stack(2, BUSY)) == []


def test_a_mutex_below_python_is_a_lock() -> None:
    assert facts(stack(1, BUSY, native=["__lll_lock_wait", "pthread_mutex_lock"])) == [("lock", True)]


def test_who_keeps_the_interpreters_lock_is_the_one_that_does_not_ask_for_it() -> None:
    asks = native("pthread_cond_timedwait", "take_gil", "PyGILState_Ensure", thread=2)
    held = native("nanosleep", "pool::wait", "_PyMethodDef_RawFastCallKeywords", thread=1)
    assert facts(held, asks) == [("gil", True)]
    assert facts(held) == []
    other = native("epoll_wait", "_PyEval_EvalFrameDefault", thread=3)  # it may have given the lock away
    assert facts(held, asks, other) == []


def test_work_outside_counts_only_while_others_wait() -> None:
    assert facts(stack(1, BUSY)) == []
    assert facts(stack(1, BUSY), stack(2, REDUCE), stack(3, REDUCE)) == [("busy", True)]


def test_a_mutex_counts_and_an_idle_thread_does_not() -> None:
    assert facts(native("__lll_lock_wait", "pthread_mutex_lock", "flush")) == [("lock", True)]
    assert facts(native("epoll_wait", "uv__io_poll")) == []
    assert facts(native("__lll_lock_wait", thread=7)) == []  # not the main thread
    assert facts(native("pthread_mutex_lock", "ncclGroupEndInternal")) == []


def test_where_the_agent_tells_who_is_who_nobody_is_a_stranger() -> None:
    seen = coverage.gather([stack(1, LOADER), Event("rank.found", "agent", "events/a.jsonl:1", rank=0)])
    assert strangers(seen) == []

"""Stacks of which more than the main thread counts: who owns the GIL, and whom the main thread waits for."""

import json
from io import BytesIO

from diagnose.model import Member
from diagnose.sources import stack_dump


def thread(name, *frames, active=False, owns_gil=False):
    rows = [{"name": f, "filename": path, "short_filename": path, "line": 3} for f, path in frames]
    return {"pid": 7, "thread_name": name, "active": active, "owns_gil": owns_gil, "frames": rows}


def read(*threads, **head):
    body = json.dumps(
        {"version": 1, "via": "py_spy", "pid": 7, "rank": 1, "threads": threads, **head}
    ).encode()
    member = Member("stacks/1795424041/rank-00001.json", len(body), lambda: BytesIO(body))
    [event] = stack_dump.parse(member)
    return event


def test_the_owner_of_the_gil_is_told_with_its_stack():
    main = thread("MainThread", ("get", "/usr/lib/python3.11/queue.py"), ("main", "/app/train.py"))
    beat = thread("heartbeat", ("match", "/app/beat.py"), active=True, owns_gil=True)
    data = read(main, beat).data
    assert (data["gil_thread"], data["gil_is_main"], data["gil_active"]) == ("heartbeat", False, True)
    assert data["gil_stack"] == ["match (beat.py:3)"] and data["main"][0] == "get (queue.py:3)"


def test_other_threads_are_told_only_where_the_main_one_waits_for_one():
    other = thread("trainer", ("step", "/app/train.py"))
    joins = thread(
        "MainThread", ("Thread.join", "/usr/lib/python3.11/threading.py"), ("main", "/app/train.py")
    )
    assert [row["thread"] for row in read(joins, other).data["others"]] == ["trainer"]
    assert "others" not in read(thread("MainThread", ("main", "/app/train.py")), other).data


def test_a_workers_stack_is_not_its_ranks():
    event = read(thread("MainThread", ("work", "/app/train.py")), worker=True, pid=99)
    assert (event.kind, event.rank, event.data["worker"]) == ("worker.stack_read", 1, 99)

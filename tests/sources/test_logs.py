"""Whose exception a log tells of, whatever stands around its lines."""

from io import BytesIO

from diagnose.model import Event, Member
from diagnose.sources import launcher_log, rank_log

TRACE = [
    "Traceback (most recent call last):",
    '  File "train.py", line 3, in <module>',
    "    main()",
    "RuntimeError: boom",
]


def launcher(text: str | bytes) -> list[Event]:
    data = text.encode() if isinstance(text, str) else text
    return list(launcher_log.parse(Member("launcher.log", len(data), lambda: BytesIO(data))))


def raised(events: list[Event]) -> list[tuple[int | None, object, object]]:
    return [(e.rank, e.data["type"], e.data["message"]) for e in events if e.kind == "exception.raised"]


def test_interleaved_tracebacks_stay_apart_by_their_prefix() -> None:
    first, second = ([f"[rank{rank}]: {line}" for line in TRACE] for rank in (0, 1))
    mixed = [line for pair in zip(first, second, strict=True) for line in pair]
    found = launcher("\n".join(mixed).replace("[rank1]: RuntimeError: boom", "[rank1]: KeyError: 'x'"))
    assert raised(found) == [(0, "RuntimeError", "boom"), (1, "KeyError", "'x'")]
    frames = [e.data["frames"] for e in found if e.kind == "exception.raised"]
    assert frames == [["train.py:3 in <module>"]] * 2


def test_a_traceback_glued_to_a_progress_bar_is_found() -> None:
    head, *rest = TRACE
    text = "\n".join([" 10%|#  | 1/10\r 20%|## | 2/10 [00:01<00:08, 1.00it/s]" + head, *rest])
    assert raised(launcher(text)) == [(None, "RuntimeError", "boom")]


def test_carriage_returns_and_colours_do_not_hide_a_line() -> None:
    text = "step 1\rstep 2\r\x1b[31m[rank2]: Timed out waiting 10ms for send operation to complete\x1b[0m"
    [event, _] = launcher(text)
    assert (event.kind, event.rank, event.data) == (
        "gloo.timed_out", 2, {"wait_ms": 10, "operation": "send"},
    )  # fmt: skip


def test_utf_16_logs_are_read_with_and_without_a_mark() -> None:
    text = "\n".join(TRACE)
    for data in (text.encode("utf-16"), text.encode("utf-16-le")):
        assert raised(launcher(data)) == [(None, "RuntimeError", "boom")]


def test_an_ignored_exception_is_not_raised() -> None:
    text = "\n".join(["Exception ignored in: <function f at 0x7>", *TRACE, "", "on it goes", *TRACE])
    assert raised(launcher(text)) == [(None, "RuntimeError", "boom")]


def test_the_name_of_a_process_goes_with_its_exception() -> None:
    [event, _] = launcher("\n".join(["Process SpawnProcess-1:", *TRACE]))
    assert event.data["process"] == "SpawnProcess-1"


def test_the_launchers_own_exception_is_no_ranks() -> None:
    own = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: "
    assert raised(launcher("\n".join([*TRACE[:3], own]))) == []


def test_a_spawned_childs_exception_has_its_index_and_later_ones_have_not() -> None:
    text = "\n".join(
        [*TRACE[:3], "torch.multiprocessing.spawn.ProcessRaisedException: ", "",
         "-- Process 3 terminated with the following error:", *TRACE, "", "", "later", *TRACE]
    )  # fmt: skip
    assert [rank for rank, _, _ in raised(launcher(text))] == [3, None]


def test_noise_in_a_traceback_does_not_end_it() -> None:
    text = "\n".join([*TRACE[:2], "loss 0.3 at step 5", *TRACE[2:]])
    assert raised(launcher(text)) == [(None, "RuntimeError", "boom")]


def test_a_traceback_that_breaks_off_is_said_with_its_place() -> None:
    [event, _] = launcher("\n".join(["before", *TRACE[:2]]))
    assert (event.kind, event.where) == ("source.unreadable", "launcher.log:2")


def test_a_flood_of_one_line_is_bounded() -> None:
    line = b"[rank0]: pair.cc:553] Connection closed by peer [127.0.0.1]:1.\n"
    assert len(launcher(line * 5000)) == 201


def test_a_line_of_many_megabytes_is_cut_and_the_next_is_whole() -> None:
    data = b"x" * (5 << 20) + b"\n" + "\n".join(TRACE).encode()
    [event, read] = launcher(data)
    assert event.where == "launcher.log:5" and read.data["num_lines"] == 5


def test_a_time_stamp_with_a_zone_gives_the_event_its_time() -> None:
    [event, _] = launcher(
        "2026-08-24T10:00:00Z [default1]:Timed out waiting 5ms for recv operation to complete"
    )
    assert event.time == 1787565600.0 and event.rank == 1


def test_late_ranks_are_named_by_rank_0() -> None:
    data = b"[rank0]: RuntimeError: [Rank 0]: Ranks 1, 2 failed to pass monitoredBarrier in 5000 ms"
    [event, _] = rank_log.parse(Member("rank0.log", len(data), lambda: BytesIO(data)))
    assert event.data == {"ranks": [1, 2], "wait_ms": 5000}


def test_a_quoted_watchdog_line_is_not_the_watchdog() -> None:
    core = (
        "[Rank 1] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=3, OpType=ALLREDUCE) ran for 1 milliseconds before timing out."
    )
    [event, _] = launcher("[rank1]:[E616 10:00:00.1 ProcessGroupNCCL.cpp:757] " + core)
    assert (event.rank, event.data["seq"], event.data["op"]) == (1, 3, "ALLREDUCE")
    quoted = (
        "RuntimeError: NCCL communicator was aborted on rank 1.  Original reason for failure was: " + core
    )
    assert [e.kind for e in launcher(quoted)] == ["exception.raised", "log.read"]

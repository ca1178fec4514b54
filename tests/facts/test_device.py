"""Why a device had no room, by its own numbers, and whose kernel failed."""

import pytest

from diagnose import coverage
from diagnose.facts import device, long_work
from diagnose.model import Event

GIB = 1 << 30


def say(kind: str, rank: int | None, line: int = 1, **data: object) -> Event:
    return Event(kind, "rank_log", f"r.log:{line}", rank=rank, data=data)


def told(*events: Event) -> list[tuple[str, list[int], object]]:
    facts = device.derive(coverage.gather(events))
    return [(fact.kind, fact.ranks, fact.data.get("how")) for fact in facts]


@pytest.mark.parametrize(
    ("data", "how"),
    [
        ({"tried": GIB, "allocated": 9 * GIB, "unallocated": GIB // 2}, "exhausted"),
        ({"tried": GIB, "allocated": 9 * GIB, "unallocated": 2 * GIB}, "fragmented"),
        ({"tried": GIB, "allocated": 9 * GIB, "reserved": 11 * GIB}, "fragmented"),
        ({"tried": GIB, "total": 16 * GIB, "allocated": 2 * GIB, "others": 8 * GIB}, "burst"),
        ({"tried": GIB, "total": 16 * GIB, "allocated": 9 * GIB, "others": GIB}, "exhausted"),
    ],
)
def test_the_numbers_tell_why_there_was_no_room(data: dict[str, int], how: str) -> None:
    assert told(say("cuda.out_of_memory", 3, by="allocator", **data)) == [("device.out_of_memory", [3], how)]


def test_what_asks_beside_the_allocator_is_a_workspace() -> None:
    assert told(say("cuda.out_of_memory", 0, by="nccl")) == [("device.out_of_memory", [0], "workspace")]


def test_who_is_not_named_counts_only_where_nobody_is() -> None:
    nobody = say("cuda.assert_failed", None, text="i < n")
    assert told(nobody) == [("device.access_faulted", [], "assert")]
    both = told(nobody, say("cuda.access_refused", 2, 2, text="device-side assert triggered"))
    assert both == [("device.access_faulted", [2], "assert")]


def outlasted(*events: Event) -> list[object]:
    return [fact.data["by"] for fact in long_work.derive(coverage.gather(events))]


def test_work_outlasts_a_wait_of_another_rank_that_is_shorter() -> None:
    bar = say("phase.bar_told", 0, what="tokenizer", elapsed_s=700, left_s=300)
    gave_up = say("nccl.watchdog_timed_out", 1, 2, timeout_ms=600_000)
    assert outlasted(bar, gave_up) == ["collective"]
    assert outlasted(bar, say("nccl.watchdog_timed_out", 1, 2, timeout_ms=1_800_000)) == []
    assert outlasted(bar, say("nccl.watchdog_timed_out", 0, 2, timeout_ms=600_000)) == []
    assert outlasted(bar, gave_up, say("exception.raised", 0, 3, type="ValueError", message="x")) == []


def test_a_heartbeat_alone_tells_nothing() -> None:
    lost = say("nccl.heartbeat_lost", 3, stuck_s=480)
    assert outlasted(lost) == []
    assert outlasted(lost, say("compile.told", 3, 2, what="autotune", text="AUTOTUNE bmm")) == ["heartbeat"]
    assert outlasted(lost, say("compile.told", 1, 2, what="autotune", text="AUTOTUNE bmm")) == []

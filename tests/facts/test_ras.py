"""What NCCL's RAS alone tells of who is waited for, in recorded answers."""

from pathlib import Path

import msgspec
import pytest

from diagnose import coverage, pipeline
from diagnose.bundle import members
from diagnose.facts import waits
from diagnose.model import Event

SAMPLES = Path(__file__).parents[1] / "sources/nccl_ras/samples"


def events_of(name: str) -> list[Event]:
    return pipeline.parse(members(str(SAMPLES / name)))[0]


def awaited(events: list[Event]):
    return [
        (f.ranks, f.open) for f in waits.derive(coverage.gather(events)) if f.kind == "collective.awaited"
    ]


def grown(events: list[Event], **counts: list[dict[str, object]]) -> list[Event]:
    """The same answers with other counts."""
    read = [e for e in events if e.kind == "ras.communicator_read"]
    data = {**read[0].data, "errors": ["MISMATCH"], "missing": [], "counts": counts}
    rest = [e for e in events if e.kind == "ras.read"]
    return [msgspec.structs.replace(read[0], data=data), *rest]


def group(value: int, *ranks: int, num: int = 0) -> dict[str, object]:
    places = [{"rank": r, "pid": 100 + r, "host": "h", "gpu": r} for r in ranks]
    return {"value": value, "num_ranks": num or len(ranks), "ranks": places}


def test_a_dead_process_is_waited_for_and_not_those_that_are_behind_because_of_it():
    assert awaited(events_of("ncclras-2.24-dead.txt")) == [([29], False)]


def test_one_that_only_did_not_answer_this_time_is_named_for_nothing():
    assert awaited(events_of("ncclras-2.28.9-missing.json")) == []


def test_two_that_are_ahead_of_thirty_do_not_show_who_waits_for_whom():
    assert awaited(events_of("ncclras-2.26-mismatch.txt")) == []


def test_equal_counts_prove_nothing():
    assert awaited(events_of("ncclras-2.29-healthy.json")) == []


STALL = Event("job.stalled", "agent", "events/agent.jsonl:1", time=5.0)


@pytest.mark.parametrize(("more", "is_open"), [([], True), ([STALL], False)], ids=["a moment", "a stall"])
def test_who_launched_fewer_than_most_is_waited_for_if_it_stays_so(more, is_open):
    events = grown(events_of("ncclras-2.26-mismatch.txt"), AllReduce=[group(64, num=30), group(63, 4, 9)])
    assert awaited([*events, *more]) == [([4, 9], is_open)]


def test_without_a_strict_majority_or_a_place_in_the_world_nobody_is_named():
    base = events_of("ncclras-2.26-mismatch.txt")
    assert awaited([*grown(base, AllReduce=[group(64, num=2), group(63, 4, 9)]), STALL]) == []
    half = grown(base, AllReduce=[group(64, num=6), group(63, 4, 9)])
    half[0] = msgspec.structs.replace(half[0], data={**half[0].data, "size": 8})  # of 32 processes
    assert awaited([*half, STALL]) == []


def test_ranks_are_known_by_their_process_where_hooks_told_it():
    events = grown(events_of("ncclras-2.26-mismatch.txt"), AllReduce=[group(64, num=30), group(63, 4)])
    claims = [
        Event("rank.claimed", "rank_hook", "x:1", node="h", rank=r, data={"pid": 90 + r, "world_size": 32})
        for r in range(32)
    ]
    assert awaited([*events, *claims, STALL]) == [([14], False)]

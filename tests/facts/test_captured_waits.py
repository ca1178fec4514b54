"""What a captured failure shows, with less and less of it left: a victim is never blamed."""

from pathlib import Path

import msgspec
import pytest

from diagnose import pipeline
from diagnose.bundle import members
from diagnose.playbook import load

BUNDLE = Path(__file__).parent.parent / "cases" / "rank_exception" / "bundle"
VICTIM = 2


def first_scan(event):
    if event.kind != "evidence.taken":
        return event
    return msgspec.structs.replace(event, data={**event.data, "time_dirs": event.data["time_dirs"][:1]})


def not_there_yet(event):
    """The victim computes still, when the others wait already."""
    if (event.kind, event.rank) != ("flight.group_read", VICTIM):
        return first_scan(event)
    done = event.data["launched"] - 1
    data = {**event.data, "launched": done, "completed": done, "entries": event.data["entries"][:-1]}
    return msgspec.structs.replace(event, data=data)


def without_dump(event):
    """The victim's dump was lost."""
    return None if event.source == "flight_recorder" and event.rank == VICTIM else first_scan(event)


def alone(event):
    """Only the victim's dump is there."""
    return None if event.source == "flight_recorder" and event.rank != VICTIM else first_scan(event)


@pytest.mark.parametrize("left", [first_scan, not_there_yet, without_dump, alone])
def test_a_victim_of_an_exception_is_not_blamed_for_what_it_had_no_time_for(left):
    seen = pipeline.parse(members(str(BUNDLE)))[0]
    kept = [event for one in seen if (event := left(one)) is not None]
    (part,) = pipeline.parted(kept).values()
    causes = pipeline.judge("bundle", part, load()).causes
    assert [(c.failure, c.ranks) for c in causes] == [("rank_exception", [1])]

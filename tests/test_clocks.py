"""A wall clock that steps, or a rank's that is another, changes no order and no duration."""

from collections.abc import Sequence

from diagnose.clocks import straighten
from diagnose.model import Event


def said(mono: float, wall: float, source: str = "agent", rank: int | None = None, **data: object) -> Event:
    return Event("x", source, "w", time=wall, node="h", rank=rank, data={"mono": mono, **data})


def times(events: Sequence[Event]) -> list[float | None]:
    return [None if event.time is None else round(event.time, 3) for event in straighten(events)]


def test_where_all_clocks_ran_evenly_the_events_are_the_very_same() -> None:
    events = [
        said(10.0, 1000.0),
        said(11.0, 1001.2),
        said(12.0, 1002.0, "rank_hook", 1),
        Event("y", "z", "w"),
    ]
    assert straighten(events) is events
    foreign = [Event("y", "rank_log", "w", time=5.0), Event("y", "rank_log", "w", time=9.0)]
    assert straighten(foreign) is foreign


def test_after_a_step_of_the_machines_clock_time_goes_on_as_before() -> None:
    for step in (3600.0, -3600.0):
        events = [said(10.0, 1e6), said(11.0, 1e6 + 1), said(12.0, 1e6 + 2 + step, "run")]
        events += [said(12.5, 1e6 + 2.5 + step, "rank_hook", 0)]
        assert times(events) == [1e6, 1e6 + 1, 1e6 + 2, 1e6 + 2.5]


def test_a_rank_whose_own_clock_is_off_is_placed_among_the_others() -> None:
    events = [said(10.0, 1e6), said(11.0, 1e6 - 3599, "rank_hook", 1), said(12.0, 1e6 + 2)]
    events += [Event("torch.traceback", "rank_log", "w", time=1e6 - 3598.5, rank=1)]
    assert times(events) == [1e6, 1e6 + 1, 1e6 + 2, 1e6 + 1.5]


def test_what_carries_only_wall_time_follows_the_machines_clock_of_that_moment() -> None:
    events = [said(10.0, 1e6), said(20.0, 1e6 + 10), said(21.0, 1e6 + 3611), said(30.0, 1e6 + 3620)]
    events += [Event("launcher.failed", "launcher_log", "w", time=1e6 + 3615)]
    assert times(events)[-1] == 1e6 + 15


def test_a_flight_recorder_tells_its_entries_by_the_clock_of_its_rank() -> None:
    dump = Event("flight.group_read", "flight_recorder", "w", time=1e6 + 2, rank=1)
    rows = [[7, "all_reduce", 1e6 + 3601.5, True, 60.0], ["torn"], None]
    events = [said(10.0, 1e6), said(11.0, 1e6 + 3601, "rank_hook", 1), said(12.0, 1e6 + 2)]
    data = {"entries": rows, "history": {"runs": [[6, 7]], "created_s": [None, 1e6 + 3601.5]}}
    events += [Event(**{f: getattr(dump, f) for f in dump.__struct_fields__} | {"data": data})]
    told = straighten(events)[-1].data
    assert told["entries"] == [[7, "all_reduce", 1e6 + 1.5, True, 60.0], ["torn"], None]
    assert told["history"] == {"runs": [[6, 7]], "created_s": [None, 1e6 + 1.5]}


def test_machines_have_clocks_of_their_own_and_absurd_lines_count_as_none() -> None:
    two = [said(10.0, 1e6), said(11.0, 1e6 + 1)]
    two += [Event("x", "agent", "w", time=1e6 + t, node="other", data={"mono": 90_000.0 + t}) for t in (0, 1)]
    assert straighten(two) is two
    odd = [said(float("inf"), 5.0), said(-1.0, 7.0), said(1e300, 1e6), said(10.0, 1e6)]
    assert straighten(odd) is odd

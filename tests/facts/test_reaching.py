"""Groups that have transfers too, in dumps of what is open: the watchdog's number alone."""

import pytest

from diagnose.model import Event
from diagnose.reaching import by_number
from tests.facts.dumps import dump, seen


def heads(only_active, *ranks):
    return [
        Event(
            "flight.read",
            "flight_recorder",
            f"attempts/1/flight/100/rank-{rank:05d}.json",
            rank=rank,
            data={"library": "nccl", "only_active": only_active, "history_lost": not only_active},
        )
        for rank in ranks
    ]


def waiting(rank, number, transferred):
    """A rank that waits in a collective, after so many transfers."""
    event = dump(rank, number, number - 1)
    data = {
        "mixed": True,
        "transferred": transferred,
        "entries": event.data["entries"][-1:],
        "basis": "entries",
    }
    return Event(event.kind, event.source, event.where, rank=rank, data=event.data | data)


def silent(rank, number):
    """A rank with nothing open, and the number of its newest operation of either kind."""
    event = dump(rank, number, number)
    data = {"entries": [], "basis": "status", "status_launched": number, "num_entries": 0, "mixed": False}
    return Event(event.kind, event.source, event.where, rank=rank, data=event.data | data)


def test_who_completed_what_another_has_open_makes_that_one_behind():
    found = seen(waiting(0, 90, 24), silent(1, 90), *heads(True, 0, 1), num_ranks=2)
    assert found == {("collective.behind", (0,))}


def test_who_has_not_come_to_it_is_awaited():
    found = seen(waiting(0, 90, 24), silent(1, 89), *heads(True, 0, 1), num_ranks=2)
    assert found == {("collective.awaited", (1,))}


def test_a_number_that_may_be_of_a_transfer_accuses_nobody():
    assert seen(waiting(0, 90, 88), silent(1, 88), *heads(True, 0, 1), num_ranks=2) == set()


def test_nor_does_any_where_what_is_open_may_be_gone():
    assert seen(waiting(0, 90, 24), silent(1, 89), *heads(False, 0, 1), num_ranks=2) == set()


@pytest.mark.parametrize(
    "newest, found",
    [(6, 6), (5, 5), (10, None), (9, None), (20, None), (40, None), (None, None), ("6", None)],
)
def test_the_end_of_a_pipeline_has_half_the_transfers_of_its_middle(newest, found):
    event = Event("flight.group_read", "flight_recorder", "x", rank=1, data={"status_launched": newest})
    assert by_number(event, {5, 6}, {20}) == found
    assert by_number(event, {5, 6}, {newest + 1 if isinstance(newest, int) else 1}) is None, (
        "one rank further"
    )

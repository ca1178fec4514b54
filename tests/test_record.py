"""The run record, built from event lines alone."""

from diagnose.contract import Manifest
from diagnose.record import build, volumes

FOUND = Manifest(run="r", state="error")


def line(event, rank=None, **data):
    return {"event": event, "attempt": "1", "time": 1.0, "rank": rank, **data}


def test_the_command_that_is_the_one_rank_lends_it_its_end():
    """A rank that ends before the agent has seen it has no death of its own."""
    lines = [
        line("command.started", pid=7),
        line("rank.claimed", 0, pid=7),
        line("command.ended", exit_code=3),
    ]
    assert [r.exit_code for r in build(FOUND, lines).ranks] == [3]


def test_a_rank_below_the_command_has_its_own_end_or_none():
    started, ended = line("command.started", pid=7), line("command.ended", exit_code=1)
    claims = [line("rank.claimed", rank, pid=8 + rank) for rank in (0, 1)]
    died = line("rank.died", 1, signal=9)
    record = build(FOUND, [started, *claims, died, ended])
    assert [(r.exit_code, r.signal) for r in record.ranks] == [(None, None), (None, 9)]
    assert (record.exit_code, record.exit_path, record.end_marker) == (1, "exit", True)


def test_without_an_end_the_record_says_so():
    record = build(Manifest(run="r", state="lost"), [line("command.started", pid=7)])
    assert (record.exit_path, record.end_marker) == ("lost", False)
    assert record.caveats == ["the end of the command was not seen"]


def test_volumes_of_all_ranks_are_joined_by_mount():
    def read(**holds):
        row = {"point": "/v", "filesystem": "nfs4", "volume": "srv:/v", "remote": True}
        return {"volumes": [row | {"holds": {what: {"path": path} for what, path in holds.items()}}, 3]}

    (one,) = volumes([read(data="/v/x.bin"), read(checkpoints="/v/c"), {"volumes": None}])
    assert (one.point, one.remote, one.holds) == ("/v", True, {"data": "/v/x.bin", "checkpoints": "/v/c"})

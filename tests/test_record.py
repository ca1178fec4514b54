"""The run record, built from event lines alone."""

from diagnose import event_lines, record, verdict
from diagnose.contract import Manifest
from diagnose.record import build, volumes
from diagnose.surfaces.modal import collect

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


def test_what_cannot_be_read_is_passed_over(tmp_path):
    """Torn, no UTF-8, nested without end: of lines the others count, of our own words there are none."""
    strange = [b"", b'{"v":1', b'{"run":"\xff"}', b"[" * 100_000, b'{"x":' + b"[" * 100_000]
    events = tmp_path / "attempts/1/events"
    events.mkdir(parents=True)
    (events / "run-000001.jsonl").write_bytes(b"\n".join([*strange, b'{"event":"job.stalled"}', b"[]"]))
    (events / "agent-000001.jsonl").write_bytes(b'{"event":"agent.started"}\n')
    assert [one["event"] for one in event_lines.lines(tmp_path)] == ["agent.started", "job.stalled"]
    assert [one["event"] for one in collect.words(tmp_path)] == ["job.stalled"]
    for text in strange:
        for name in ("record.json", "verdict.json"):
            (tmp_path / name).write_bytes(text)
        assert record.read(tmp_path) is None and verdict.read(tmp_path) is None

"""Whether all of a spool has reached the run directory."""

from pathlib import Path

from diagnose.journal import sealed


def test_all_is_there_when_every_event_and_every_whole_file_is(tmp_path: Path) -> None:
    spool, run = tmp_path / "spool", tmp_path / "run"
    for base in (spool, run):
        (base / "attempts/1/events").mkdir(parents=True)
        (base / "attempts/1/flight/raised").mkdir(parents=True)
    (spool / "attempts/1/events/agent.jsonl").write_bytes(b'{"event":"rank.died"}\n')
    (spool / "attempts/1/flight/raised/rank-00001.json").write_bytes(b"{}")
    is_there = sealed(spool, run)
    assert not is_there()
    (run / "attempts/1/events/agent-000001.jsonl").write_bytes(b'{"event":"rank.died"}\n')
    assert not is_there()
    (run / "attempts/1/flight/raised/rank-00001.json").write_bytes(b"{}")
    assert is_there()


def test_what_a_rank_was_killed_over_is_not_waited_for(tmp_path: Path) -> None:
    """The launcher ended the rank between its draft and its name."""
    folder = tmp_path / "spool/attempts/1/flight/raised"
    folder.mkdir(parents=True)
    (folder / "rank-00001.json.4711.tmp").write_bytes(b"{")
    assert sealed(tmp_path / "spool", tmp_path / "run")()

"""The event line is what the contract says."""

import json
from pathlib import Path

from probes.emit import open_log

ORDER = ["v", "time", "event", "source", "run", "attempt", "node", "rank", "level"]


def test_a_line_has_the_envelope_first_no_secret_and_no_rank_where_it_is_about_none(tmp_path: Path) -> None:
    log = open_log("agent", str(tmp_path / "e" / "agent.jsonl"), "r1", "1")
    log.info(
        "rank.sampled", rank=3, note="HF_TOKEN=hf_abcdefghijklmnopqrst", deep={"a": ["password=hunter22"]}
    )
    log.warning("job.stalled", silent_s=2.5)
    first, second = (tmp_path / "e" / "agent.jsonl").read_text().splitlines()
    assert list(json.loads(first))[:9] == ORDER
    assert "hf_abc" not in first and "hunter22" not in first
    assert "rank" not in json.loads(second) and json.loads(second)["level"] == "warning"


def test_a_torn_last_line_of_an_earlier_writer_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    path.write_text('{"v":1,"event":"x"}\n{"v":1,"ev')
    open_log("agent", str(path), "r1", "1").info("rank.found", rank=0)
    lines = path.read_text().splitlines()
    assert lines[1] == '{"v":1,"ev' and json.loads(lines[2])["event"] == "rank.found"

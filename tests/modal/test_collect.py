"""The collector's own troubles: no network, a half fetched run, a killed launcher, two at once, odd names."""

import os
import threading
import time

import pytest

from diagnose import follow, manifest
from diagnose.surfaces.modal import looks
from diagnose.surfaces.modal.cloud_types import Remote
from diagnose.surfaces.modal.collect import collect
from diagnose.surfaces.modal.outcome import Unreachable
from tests.modal.answers import ENDED, GOOD, NODE, STARTED, Cloud


def states(run):
    return [step.state for step in manifest.read(run).transitions]


def test_what_could_not_be_fetched_is_fetched_by_the_next_look(run):
    cloud = Cloud("returned", GOOD)
    cloud.say(1, STARTED)
    cloud.say(2, ENDED)
    [first, second] = cloud.kept
    cloud.wrong = {second}
    look = collect(run, cloud, NODE)
    assert look.failed == [f"{second}: reset by peer"] and not look.manifest.is_whole
    assert states(run) == ["launching", "detached", "ok"]
    cloud.wrong, cloud.reads = set(), []
    assert collect(run, cloud, NODE).manifest.is_whole
    assert cloud.reads == [second], "what is here is not fetched again"
    cloud.reads = []
    collect(run, cloud, NODE)
    assert cloud.reads == [] and states(run) == ["launching", "detached", "ok"]
    assert (run / first).stat().st_mtime == 100


def test_who_cannot_ask_changes_nothing(run):
    before = (run / "manifest.json").read_bytes()
    with pytest.raises(Unreachable):
        collect(run, broken(), NODE)
    assert (run / "manifest.json").read_bytes() == before


def broken():
    cloud = Cloud()
    cloud.told = Unreachable("no route")
    return cloud


def test_a_log_that_grew_is_fetched_again(run):
    cloud = Cloud()
    cloud.kept["attempts/ta-1/logs/rank-00000.log"] = b"a\n"
    collect(run, cloud, NODE)
    cloud.kept["attempts/ta-1/logs/rank-00000.log"] = b"a\nb\n"
    collect(run, cloud, NODE)
    assert (run / "attempts/ta-1/logs/rank-00000.log").read_bytes() == b"a\nb\n"


def test_a_dump_that_was_taken_back_goes_from_here_too(run):
    cloud = Cloud()
    cloud.kept["attempts/ta-1/flight/100/rank-00000.json"] = b"{}"
    cloud.kept["attempts/ta-1/flight/200/rank-00000.json"] = b"{}"
    collect(run, cloud, NODE)
    del cloud.kept["attempts/ta-1/flight/100/rank-00000.json"]
    cloud.kept["attempts/ta-1/dropped.txt"] = b"flight/100\nflight/../events\n/etc\n"
    collect(run, cloud, NODE)
    assert [path.name for path in (run / "attempts/ta-1/flight").iterdir()] == ["200"]


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "attempts/../../x",
        "/etc/x",
        "manifest.json",
        "attempts/ta-1/.x/y",
        "attempts/a\0/b/c",
    ],
)
def test_no_name_on_a_volume_leads_anywhere_else(run, path):
    cloud = Cloud()
    cloud.kept[path] = b"bad"
    look = collect(run, cloud, NODE)
    assert cloud.reads == [] and len(look.failed) == 1


def launching(tmp_path, pid):
    run = tmp_path / "r-2"
    run.mkdir()
    own = {"node": NODE, "boot": follow.boot_id(), "pid": pid, "start_ticks": follow.start_ticks(os.getpid())}
    manifest.begin(run, id="r-2", surface="modal", volume="diagnose", **own)
    return run


def test_a_launcher_at_work_is_waited_for_and_a_killed_one_is_not(tmp_path):
    run = launching(tmp_path, os.getpid())
    assert collect(run, Cloud(), NODE).manifest.state == "launching"
    manifest.update(run, pid=1 << 22)
    look = collect(run, Cloud(), NODE).manifest
    assert look.state == "lost" and "Modal had no call of it" in look.transitions[-1].reason


def test_a_call_that_its_launcher_could_not_note_is_learnt_from_the_container(tmp_path):
    run = launching(tmp_path, 1 << 22)
    cloud = Cloud("returned", GOOD)
    cloud.say(1, STARTED)
    look = collect(run, cloud, NODE).manifest
    assert (look.state, look.function_call_id) == ("ok", "fc-7")


def test_of_a_cluster_all_nodes_are_waited_for_though_the_first_has_ended_the_call(run):
    cloud = Cloud("returned", GOOD)
    for index in (0, 1):
        place = {"attempt": f"ta-{index}", "cluster_id": "cu-1", "node_index": index, "num_nodes": 2}
        cloud.say(index + 1, STARTED | place)
    cloud.say(3, ENDED | {"attempt": "ta-0"})
    look = collect(run, cloud, NODE)
    assert look.manifest.state == "ok" and not look.manifest.is_whole
    cloud.say(4, ENDED | {"attempt": "ta-1", "exit_code": 3})
    assert not collect(run, cloud, NODE).manifest.is_whole, "its last files may come behind its last word"
    look = collect(run, cloud, NODE)
    assert look.manifest.is_whole and look.notes == ["node 1 (ta-1) ended with 3"]
    assert states(run) == ["launching", "detached", "ok", "error"] and look.manifest.outcome == "returned"
    assert look.manifest.transitions[-1].reason == "node 1 (ta-1) ended with 3"


def test_a_result_that_has_expired_leaves_the_containers_word(run):
    cloud = Cloud("expired")
    cloud.say(1, STARTED)
    assert collect(run, cloud, NODE).manifest.state == "lost"
    cloud.say(2, ENDED)  # it was only slow to come
    assert collect(run, cloud, NODE).manifest.state == "ok"
    assert states(run) == ["launching", "detached", "lost", "ok"]


def test_two_at_once_take_turns(run):
    cloud = Cloud("returned", GOOD)
    for number in range(1, 40):
        cloud.say(number, STARTED)
    read = cloud.read
    cloud.read = lambda *given: (time.sleep(0.01), read(*given))[1]
    both = [threading.Thread(target=collect, args=(run, cloud, NODE)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(cloud.reads) == len(set(cloud.reads)) == 39
    assert states(run) == ["launching", "detached", "ok"]


def test_files_of_others_do_no_harm(run):
    cloud = Cloud("returned", GOOD)
    cloud.say(1, {"event": "container.started", "attempt": "../../..", "time": 5.0}, STARTED)
    cloud.kept["attempts/ta-1/dropped.txt/x"] = b"x"
    cloud.kept["attempts/ta-1/events/container-000002.jsonl"] = b"[" * 100_000 + b"\n1" + b"0" * 400 + b"\n{"
    cloud.kept["attempts/ta-1/events/container-000003.jsonl/x"] = b"x"
    cloud.kept["attempts/ta-1/logs"] = b"no folder"
    cloud.kept["attempts/ta-1/logs/rank-00000.log"] = b"a\n"
    look = collect(run, cloud, NODE)
    assert look.manifest.state == "ok" and [one.name for one in look.attempts] == ["ta-1"]
    assert looks.lines(run, look)


def test_what_is_too_large_stays_there_and_is_said(run):
    cloud = Cloud()
    files = [Remote(f"attempts/ta-1/logs/rank-{rank:05d}.log", 1 << 40, 100) for rank in range(7)]
    cloud.files = lambda *_: files
    look = collect(run, cloud, NODE)
    assert cloud.reads == [] and len(look.failed) == 7
    told = looks.lines(run, look)
    assert sum("bytes are too many" in text for text in told) == 5 and told[-1] == "not fetched: 2 more"


def test_what_a_killed_collector_was_about_to_name_goes(run):
    draft = run / "attempts/ta-1/logs/.rank-00000.log.7f3a.tmp"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"RuntimeError: hal")
    collect(run, Cloud(), NODE)
    assert not draft.exists()


@pytest.mark.slow
def test_ten_thousand_files_come(run, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)
    cloud = Cloud()
    for number in range(10_000):
        cloud.kept[f"attempts/ta-1/flight/{number}/rank-00000.json"] = b"{}"
    assert collect(run, cloud, NODE).num_fetched == 10_000
    assert collect(run, cloud, NODE).num_fetched == 0


def test_following_waits_for_the_last_push_of_a_container_that_is_ended(run, monkeypatch):
    cloud = Cloud("terminated")
    cloud.say(1, STARTED)
    monkeypatch.setattr(looks, "cloud", cloud)
    later = threading.Timer(0.3, lambda: cloud.say(2, STARTED, ENDED))
    later.start()
    assert list(looks.following(run, 0.01))
    later.join()
    assert (run / "attempts/ta-1/events/container-000002.jsonl").is_file()
    assert time.time() - manifest.read(run).transitions[-1].time < 30


def test_a_run_that_is_here_is_not_asked_for_on_another_volume(run, monkeypatch):
    monkeypatch.setattr(looks, "cloud", Cloud())
    assert looks.adopt("r-1", str(run.parent), "diagnose") == run
    with pytest.raises(Unreachable, match="on volume diagnose, not on other"):
        looks.adopt("r-1", str(run.parent), "other")

"""What is new in a run directory gets to the volume: soon, in order, whole, and again after a failure."""

import shutil
import time

import pytest

from diagnose.surfaces.modal.push import Pusher, Volume


class Kept:
    """Takes files, unless it is told to fail."""

    def __init__(self):
        self.files, self.puts, self.is_failing = {}, [], False
        self.place = Volume(self.put, self.remove)

    def remove(self, path):
        self.files = {name: data for name, data in self.files.items() if not name.startswith(f"{path}/")}

    def put(self, files):
        if self.is_failing:
            raise ConnectionError("no route")
        self.puts.append([path for path, _ in files])
        self.files |= dict(files)


@pytest.fixture
def volume():
    return Kept()


def write(run, path, data):
    (run / path).parent.mkdir(parents=True, exist_ok=True)
    (run / path).write_bytes(data)


EVENT = b'{"event":"rank.sampled","level":"info"}\n'
NEWS = b'{"event":"rank.died","level":"warning"}\n'
AGENT = "attempts/1/events/agent-%06d.jsonl"


def test_only_evidence_goes_events_first_and_nothing_twice(tmp_path, volume):
    pusher = Pusher(tmp_path, volume.place, 5.0)
    write(tmp_path, "manifest.json", b"{}")
    write(tmp_path, "attempts/1/logs/rank-00000.log", b"a\n")
    write(tmp_path, AGENT % 1, EVENT)
    write(tmp_path, "attempts/1/stacks/7/.rank.json.x.tmp", b"half")
    assert pusher.push(is_whole=False)
    assert volume.puts == [[AGENT % 1, "attempts/1/logs/rank-00000.log"]]
    assert pusher.push(is_whole=True) and len(volume.puts) == 1


def test_a_log_goes_again_when_it_grew_the_larger_the_less_often(tmp_path, volume):
    pusher = Pusher(tmp_path, volume.place, 5.0)
    log = "attempts/1/logs/rank-00000.log"
    write(tmp_path, log, b"x" * (40 << 20))
    pusher.push(is_whole=False)
    write(tmp_path, log, b"x" * ((40 << 20) + 1))
    pusher.push(is_whole=False)
    assert len(volume.puts) == 1, "40 MiB again after no time at all"
    pusher.push(is_whole=True)
    assert len(volume.files[log]) == (40 << 20) + 1


def test_a_push_that_failed_is_made_good(tmp_path, volume):
    pusher = Pusher(tmp_path, volume.place, 5.0)
    write(tmp_path, AGENT % 1, EVENT)
    volume.is_failing = True
    assert not pusher.push(is_whole=False) and pusher.failure == "ConnectionError: no route"
    volume.is_failing = False
    assert pusher.push(is_whole=False) and volume.files == {AGENT % 1: EVENT} and not pusher.failure


def test_news_of_the_agent_does_not_wait_for_the_interval(tmp_path, volume):
    pusher = Pusher(tmp_path, volume.place, 60.0)
    write(tmp_path, AGENT % 1, EVENT)
    pusher.start()
    wait(lambda: AGENT % 1 in volume.files)
    write(tmp_path, AGENT % 2, EVENT)
    time.sleep(0.6)
    assert AGENT % 2 not in volume.files
    write(tmp_path, AGENT % 3, NEWS)
    wait(lambda: {AGENT % 2, AGENT % 3} <= volume.files.keys())
    write(tmp_path, AGENT % 4, EVENT)
    assert pusher.finish(60) and AGENT % 4 in volume.files


def test_a_dump_that_was_taken_back_goes_there_too(tmp_path, volume):
    pusher = Pusher(tmp_path, volume.place, 5.0)
    for second in (100, 200):
        write(tmp_path, f"attempts/1/flight/{second}/rank-00000.json", b"{}")
    pusher.push(is_whole=False)
    shutil.rmtree(tmp_path / "attempts/1/flight/100")
    pusher.push(is_whole=False)
    assert set(volume.files) == {"attempts/1/flight/200/rank-00000.json", "attempts/1/dropped.txt"}
    assert volume.files["attempts/1/dropped.txt"] == b"flight/100\n"


def wait(is_so):
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)

"""What the writers wrote is what the run directory has, whatever is killed."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from diagnose.children import has, told
from probes.collecting.elastic import Output, Places

from .conftest import Job, wait_for

WRITER = """
import os, sys, time
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
log = open(sys.argv[2], "ab", buffering=0)
n = 0
while not os.path.exists(sys.argv[3]):
    os.write(fd, b'{"v":1,"event":"step.x","n":%d,"pad":"%s"}\\n' % (n, b"x" * (n % 700)))
    log.write(b"line %d\\n" % n)
    n += 1
    time.sleep(0.002)
os.write(fd, b'{"v":1,"event":"to')
log.write(b"no newline at the end")
"""


def joined(run_dir: Path, writer: str) -> bytes:
    parts = sorted((run_dir / "attempts" / "1" / "events").glob(f"{writer}-??????.jsonl"))
    return b"".join(part.read_bytes() for part in parts)


def test_a_collector_killed_again_and_again_still_brings_every_byte_once(job: Job) -> None:
    events = job.spool / "attempts" / "1" / "events" / "rank-00003.jsonl"
    log, over = job.spool / "launcher.log", job.folder / "over"
    writer = job.popen([sys.executable, "-c", WRITER, str(events), str(log), str(over)])
    begun, rng = time.monotonic(), random.Random(7)
    for num in range(12):  # before it begins its work, in the middle of it, after some
        one = job.collector()
        if num == 0:
            wait_for(lambda: joined(job.run_dir, "rank-00003"))
            start_s = time.monotonic() - begun
        time.sleep(rng.uniform(0.3, 2.5) * start_s)
        one.kill()
        one.wait()
    over.touch()
    writer.wait(60)
    last = job.collector()
    wait_for(lambda: has(told(last.pid).get("SigCgt", "0"), signal.SIGTERM))
    last.terminate()
    assert last.wait(60) == 0
    assert joined(job.run_dir, "rank-00003") == events.read_bytes()
    log = job.run_dir / "attempts" / "1" / "logs" / "launcher.log"
    assert log.read_bytes() == (job.spool / "launcher.log").read_bytes() + b"\n"
    assert not list(job.run_dir.rglob("*.tmp"))


def test_whole_files_come_over_and_dropped_ones_go(job: Job) -> None:
    attempt = job.spool / "attempts" / "1"
    for name in ("flight/100/rank-00000.json", "flight/200/rank-00000.json", "stacks/100/rank-00001.txt"):
        (attempt / name).parent.mkdir(parents=True, exist_ok=True)
        (attempt / name).write_text(name)
    there = job.run_dir / "attempts" / "1"
    one = job.collector()
    wait_for(
        lambda: (
            (there / "flight/200/rank-00000.json").exists() and (there / "stacks/100/rank-00001.txt").exists()
        )
    )
    (attempt / "dropped.txt").write_text("flight/100\nflight/../../x\n")
    wait_for(lambda: not (there / "flight/100").exists())
    assert (there / "flight/200/rank-00000.json").read_text() == "flight/200/rank-00000.json"
    one.terminate()
    assert one.wait(60) == 0


def test_the_launchers_logs_become_one_log_a_rank_named_by_the_claims(job: Job) -> None:
    job.claim(5, os.getpid(), local_rank=1)
    place = job.spool / "elastic" / "none_abc" / "attempt_0" / "1"
    place.mkdir(parents=True)
    (place / "stdout.log").write_text("out\n")
    (place / "stderr.log").write_text("err\ntorn")
    (place / "error.json").write_text("{}")
    one = job.collector()
    log = job.run_dir / "attempts/1/logs/rank-00005.log"
    wait_for(lambda: log.exists() and log.read_text() == "out\nerr\n")
    assert wait_for((job.run_dir / "attempts/1/errors/rank-00005-elastic.json").exists)
    one.terminate()
    assert one.wait(60) == 0
    assert log.read_text() == "out\nerr\ntorn\n"


def test_on_a_later_node_a_rank_that_never_claimed_is_counted_from_its_first(job: Job) -> None:
    output = Output("stdout.log", "1", 3, "stdout.log")
    places = Places(str(job.spool), 8)
    assert places.rank(output, is_late=False) is None and places.rank(output, is_late=True) == 11
    job.claim(9, os.getpid(), local_rank=3)
    places.refresh()
    assert places.rank(output, is_late=True) == 9


def test_a_destination_that_refuses_is_tried_again_and_loses_nothing(job: Job) -> None:
    (job.run_dir / "attempts").write_text("in the way")
    events = job.spool / "attempts" / "1" / "events" / "agent.jsonl"
    events.write_text('{"v":1,"event":"a"}\n')
    with (job.folder / "stderr").open("wb") as stderr:
        one = job.collector(stderr=stderr)
    said = job.folder / "stderr"
    wait_for(lambda: b"collector:" in said.read_bytes())
    time.sleep(0.5)
    assert said.read_bytes().count(b"\n") == 1 and one.poll() is None
    (job.run_dir / "attempts").unlink()
    one.terminate()
    assert one.wait(60) == 0
    assert joined(job.run_dir, "agent") == events.read_bytes()


def test_when_parent_and_agent_are_gone_strays_end_events_are_sealed_and_the_run_is_lost(job: Job) -> None:
    (job.run_dir / "manifest.json").write_text(
        json.dumps({"state": "running", "run": "r9", "transitions": []})
    )
    stray = job.popen(["setsid", "sleep", "300"], env=job.env())
    parent = job.popen(["sleep", "300"])
    job.claim(0, stray.pid)
    one = job.collector(parent=parent.pid)
    wait_for(lambda: joined(job.run_dir, "rank-00000"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert one.wait(60) == 0
    assert stray.wait(60) == -signal.SIGTERM
    manifest: dict[str, Any] = json.loads((job.run_dir / "manifest.json").read_text())
    assert manifest["state"] == "lost" and manifest["run"] == "r9" and manifest["transitions"][-1]["reason"]
    assert b"parent.lost" in joined(job.run_dir, "collector") and not job.spool.exists()

"""Modal ends a container whose main process does not answer: who holds the interpreter there, and who not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.modal.test_path import HEAD, Job, causes
from tests.modal.test_plane import launch

pytestmark = [pytest.mark.torch, pytest.mark.ranks, pytest.mark.slow]
HELD = (
    HEAD
    + """
if rank == 1:
    import ctypes
    ctypes.PyDLL(None).sleep(1000)
while True: step(); time.sleep(0.02)
"""
)
SILENT_S = 6.0  # the runtime here sends a heartbeat every second


def heartbeats(plane):
    return plane.ask("tell")["served"].get("ContainerHeartbeat", 0)


def goes_on(plane):
    before = heartbeats(plane)
    time.sleep(SILENT_S)
    return heartbeats(plane) > before


def test_a_rank_that_holds_its_lock_is_a_process_of_its_own_and_the_heartbeat_goes_on(plane, tmp_path, wait):
    job = Job(plane, tmp_path, HELD, "--stall-after", "8", num_ranks=2)
    started = job.start()
    wait(lambda: sum("/stacks/" in path for path in job.pushed()) >= 4, "no look at both ranks")
    assert goes_on(plane)
    os.kill(started["pid"], signal.SIGINT)
    assert plane.ask("wait", task=started["task"])["code"] == 0
    assert ("gil_held", [1]) in causes(job.collect())


def test_a_function_of_ones_own_that_holds_it_ends_its_container(plane, tmp_path, wait):
    told = launch(
        plane, "holding", command=[sys.executable, "-c", "import time; time.sleep(1000)"], after_s=8
    )
    started = plane.ask("start", call=told["call"])
    wait(lambda: any("/agent-" in path for path in plane.ask("tell")["volumes"].get("diagnose", {})))
    assert heartbeats(plane)
    wait(lambda: not goes_on(plane), "the heartbeat goes on")
    assert plane.ask("kill", task=started["task"])["pids"]
    found = {}
    for text in ("Container killed: missed heartbeats", "internal failure"):
        plane.ask("reopen", call=told["call"])
        plane.ask("finish", call=told["call"], status=6 if "internal" in text else 2, text=text)
        found[text] = collected(plane, tmp_path / text.split()[0])
    by_word, without = found.values()
    assert causes(by_word) == [("platform_heartbeat_lost", [])]
    assert causes(without) == [] and "platform_heartbeat_lost" in [
        one["failure"] for one in without["unknown"]
    ]


def collected(plane, root):
    words = ["--volume", "diagnose", "--root", str(root), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "diagnose", "modal", "collect", "their-run", *words],
        env=plane.environ(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode in (1, 3), done.stderr
    return json.loads(done.stdout)

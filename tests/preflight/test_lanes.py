"""Checks that hang, die or raise cost their own deadline and nobody else's answer."""

import multiprocessing
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from probes import procfs
from probes.checking import lanes
from probes.checking.__main__ import chosen
from probes.checking.check import Check, Target, measured
from tests.waits import waited

TARGET = Target({})


def work(name, measure, **declared):
    """Only one that hangs has a short time: the others answer when a busy machine lets them."""
    check = Check(**{"limit_s": 0.4 if measure is hang else 20.0, **declared})
    return lanes.Work(name, check, SimpleNamespace(measure=measure))


def made(*works, budget_s=60.0):
    return {said["check"]: said for said in lanes.run(works, TARGET, budget_s) if "took_s" in said}


def good(target):
    return [measured("host", "w", pid=os.getpid(), share=float("inf"))]


def hang(target):
    if os.fork() == 0:
        os.setsid()
    time.sleep(60)


def die(target):
    os._exit(3)


def fail(target):
    raise ValueError("what?")


def noisy(target):
    os.write(1, b'{"event":"check.made","check":"good"}\n')
    print("words")
    return []


def test_one_that_hangs_costs_its_deadline_alone(monkeypatch):
    others, _ = living(), waited(monkeypatch, lanes)
    found = made(
        work("hang", hang), work("die", die), work("fail", fail), work("good", good), work("noisy", noisy)
    )
    assert found["hang"]["unanswered"] and "0.4 s" in found["hang"]["error"]
    assert 0.4 < found["hang"]["took_s"] <= 0.451, "of waiting: no look after its deadline comes first"
    assert (found["die"]["error"], found["die"]["unanswered"]) == ("its process ended", False)
    assert found["fail"]["error"] == "ValueError: what?"
    assert found["good"]["measurements"][0]["values"]["share"] is None
    assert found["noisy"]["skip"]
    assert gone(others)


def gone(others):
    """Whether all children but `others` have ended: what is killed ends when the kernel comes to it."""
    end = time.monotonic() + 60
    while living() - others:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def living():
    """Processes below this one: what other tests share may be among them."""
    stats = (procfs.stat(pid) for pid in lanes.descendants(os.getpid()))
    return {(stat.pid, stat.start_ticks) for stat in stats if stat and stat.state not in "ZX"}


@pytest.mark.parametrize("spoil", [hang, die, fail, noisy])
def test_those_that_come_after_one_without_an_answer_are_skipped(spoil):
    same = {"lane": "nvml"}
    found = made(
        work("a", good, **same, after="z"), work("b", good, **same), work("z", spoil, **same), work("c", good)
    )
    assert found["a"]["skip"].startswith("z: ")
    assert "measurements" in found["b"] and "measurements" in found["c"]


def test_a_lane_is_one_process():
    found = made(work("a", good, lane="x"), work("b", good, lane="x"), work("c", good))
    pids = {name: said["measurements"][0]["values"]["pid"] for name, said in found.items()}
    assert pids["a"] == pids["b"] != pids["c"]


def test_a_lone_one_runs_when_the_others_are_done():
    both = multiprocessing.get_context("fork").Barrier(2)

    def clock(target):
        begun = time.monotonic()
        return [measured("host", "w", begun=begun, ended=time.monotonic())]

    def meet(target):
        begun = time.monotonic()
        both.wait(50.0)  # breaks where one is made after the other
        time.sleep(0.1)
        return [measured("host", "w", begun=begun, ended=time.monotonic())]

    found = made(work("a", clock, alone=True), work("b", meet), work("c", meet))
    spans = {name: said["measurements"][0]["values"] for name, said in found.items()}
    assert spans["a"]["begun"] >= max(spans["b"]["ended"], spans["c"]["ended"])
    assert spans["c"]["begun"] < spans["b"]["ended"]


def test_what_the_time_does_not_reach_is_skipped_with_the_reason():
    found = made(work("hang", hang, limit_s=60), work("good", good, alone=True), budget_s=0.3)
    assert all("spent" in found[name]["skip"] for name in ("hang", "good"))


def test_what_others_come_after_is_made_first_though_it_was_not_named():
    found = [work.name for work in chosen(["clock_offset", "swap"])]
    assert sorted(found) == ["clock_offset", "ranks_start", "swap"]
    [lane] = [lane for lane in lanes.lanes(chosen(["clock_offset"])) if len(lane) > 1]
    assert [work.name for work in lane] == ["ranks_start", "clock_offset"]


def test_the_probe_goes_with_who_started_it():
    """A parent that is killed cannot end it: the kernel tells it."""
    program = (
        "import os, subprocess, sys, time\n"
        "probe = [sys.executable, '-P', '-m', 'probes.checking', '--with-parent', 'cpu_throttling']\n"
        "told = subprocess.Popen(probe, stdout=subprocess.PIPE)\n"
        "told.stdout.readline()\n"
        "print(told.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 60
    while procfs.is_alive(pid, 0) and time.monotonic() < end:
        time.sleep(0.02)
    assert not procfs.is_alive(pid, 0)

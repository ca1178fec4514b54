"""Drills once each: the right failure, exactly the culprit ranks, and nothing left behind.

Those that are short and unlike each other; `make drill` runs all of them, three times, `make demo` one that
compiles.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from diagnose import drilling
from diagnose.ground import Ground, carriers
from diagnose.scoring import Score

DRILLS = drilling.drills()
WAITING = [  # the longest first
    "collective_skipped",
    "rank_frozen",
    "healthy_rank0_prepares",
    "rank_killed",
    "host_oom_kill",
]
TIMED = ["healthy_plain"]  # what else runs beside it would show


def ground_at(prefix: str) -> Ground:
    """A new ground. Its path is short: sockets live below it."""
    top = Path(tempfile.mkdtemp(prefix=prefix))
    return Ground.below(top)


def run_alone(name: str) -> Score:
    """One drill on a ground of its own."""
    own = ground_at("dd-")
    try:
        return drilling.run(DRILLS[name], own)
    finally:
        own.clear()


@pytest.fixture(scope="module")
def waiting() -> dict[str, Score]:
    """The drills that mostly wait, two at a time: alone they would leave both cores idle for a minute."""
    with ThreadPoolExecutor(2) as lanes:
        return dict(zip(WAITING, lanes.map(run_alone, WAITING), strict=True))


def judge(score: Score) -> None:
    if score.skipped:
        pytest.skip(score.reason)
    print(drilling.row(score))
    assert score.right, score.reason


@pytest.mark.ranks
@pytest.mark.torch
@pytest.mark.parametrize("name", WAITING)
def test_a_drill_that_mostly_waits_is_judged_as_what_it_injects(name: str, waiting: dict[str, Score]) -> None:
    judge(waiting[name])


@pytest.mark.ranks
@pytest.mark.torch
@pytest.mark.parametrize("name", TIMED)
def test_a_drill_is_judged_as_what_it_injects(name: str) -> None:
    judge(run_alone(name))


@pytest.mark.ranks
@pytest.mark.torch
def test_an_interrupted_drill_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    if reason := drilling.lacking(DRILLS["healthy_rank0_prepares"]):
        pytest.skip(reason)
    scratch = Path(tempfile.mkdtemp(prefix="di-"))
    process = subprocess.Popen(
        [sys.executable, "-m", "diagnose", "drill", "healthy_rank0_prepares"],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not (found := list(scratch.glob("dd-*/job-*/train.py"))) and time.monotonic() < end:
            time.sleep(0.1)
        top = found[0].parents[1]
        while len(carriers(top / "t")) < DRILLS["healthy_rank0_prepares"].num_ranks + 3:  # with all of ours
            assert time.monotonic() < end, "the drill had not begun"
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        assert not carriers(top / "t")
        assert not list(scratch.iterdir())
    finally:
        process.kill()
        shutil.rmtree(scratch, ignore_errors=True)


def touched(scratch: Path) -> set[str]:
    """Mounts below `scratch`; namespaces and cgroups of the processes that have it in their TMPDIR."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    found = {line.split()[1] for line in lines if f"{scratch}/" in line}
    own = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"TMPDIR={scratch}/".encode() in (entry / "environ").read_bytes():
                own.add(entry.name)
    named = [*Path("/run/netns").glob("dgd-*"), *Path("/sys/fs/cgroup").glob("**/dgd-*")]
    return found | {str(path) for path in named if path.name.split("-")[1] in own}


@pytest.mark.ranks
@pytest.mark.torch
def test_interrupted_drills_leave_no_mount_no_cgroup_and_no_namespace() -> None:
    names = ["checkpoint_disk_full", "host_oom_kill", "network_link_lost"]
    if reason := next((why for name in names if (why := drilling.lacking(DRILLS[name]))), ""):
        pytest.skip(reason)
    scratch = Path(tempfile.mkdtemp(prefix="di-"))
    process = subprocess.Popen(
        [sys.executable, "-m", "diagnose", "drill", *names, "--jobs", "3"],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
    )
    seen: set[str] = set()
    try:
        end = time.monotonic() + 60
        kinds = (str(scratch), "/run/netns", "/sys/fs/cgroup")
        while time.monotonic() < end and not all(any(p.startswith(k) for p in seen) for k in kinds):
            seen |= touched(scratch)
            time.sleep(0.1)
        assert all(any(path.startswith(kind) for path in seen) for kind in kinds), seen
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        assert not [path for path in seen if path in touched(scratch) or Path(path).exists()]
        assert not list(scratch.iterdir())
    finally:
        process.kill()
        shutil.rmtree(scratch, ignore_errors=True)

"""Every drill once: the right failure, exactly the culprit ranks, and nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from diagnose import drilling

DRILLS = drilling.drills()


@pytest.fixture(scope="module")
def ground() -> Iterator[drilling.Ground]:
    """One ground for all, so that the compile cache is warmed once. Short: sockets live below it."""
    top = Path(tempfile.mkdtemp(prefix="dd-"))
    yield drilling.Ground(top=top, root=top / "runs")
    drilling.sweep(top / "t", 0)
    shutil.rmtree(top)


@pytest.mark.ranks
@pytest.mark.torch
@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_is_judged_as_what_it_injects(name: str, ground: drilling.Ground) -> None:
    score = drilling.run(DRILLS[name], ground)
    if score.skipped:
        pytest.skip(score.reason)
    print(drilling.row(score))
    assert score.right, score.reason


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
        end = time.monotonic() + 30
        while not list(scratch.glob("dd-*/job-*/train.py")) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(3)
        [top] = scratch.glob("dd-*")
        assert drilling.carriers(top / "t"), "the drill had not begun"
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 128 + signal.SIGTERM
        assert not drilling.carriers(top / "t")
        assert not list(scratch.iterdir())
    finally:
        process.kill()
        shutil.rmtree(scratch, ignore_errors=True)

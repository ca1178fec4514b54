"""Capture: what a cache's archive carries, and when there is none."""

import os

import pytest

from diagnose.caching import capture, placing
from diagnose.caching.manifest import Refused
from tests.caching.conftest import CARRIED, HERE
from tests.caching.seeding import captured


def test_what_is_of_one_machine_or_moment_is_not_carried(warm, limits):
    (warm.inductor / "fxgraph" / "gr" / os.fsdecode(b"\xff\xfe")).touch()  # no name that JSON could tell
    found = capture.describe(warm, HERE, limits, "training", "r")
    assert {one.name.removeprefix("inductor/") for one in found.files} == CARRIED
    assert found.kinds == {"autograd": 1, "autotune": 1, "code": 3, "graph": 1, "library": 1, "triton": 1}
    assert found.num_entries == 5


def test_drafts_of_other_containers_are_left_while_they_are_young(warm, limits, tmp_path):
    young, old, dead = (tmp_path / f".x.tar.zst.{who}.7.draft" for who in ("ta-1-", "ta-2-", placing.owner()))
    for path in (young, old, dead):
        path.touch()
    os.utime(old, (1, 1))
    captured(warm, limits, tmp_path)
    assert young.exists() and not old.exists() and not dead.exists()


def test_an_empty_cache_is_not_captured(cold, limits):
    with pytest.raises(Refused, match="nothing compiled"):
        capture.describe(cold, HERE, limits, "training", "")


def test_a_cache_that_changes_meanwhile_leaves_no_archive(warm, limits, tmp_path):
    found = capture.describe(warm, HERE, limits, "training", "")
    (warm.inductor / "fv" / "cfv1.py").write_bytes(b"def call(): else")
    with pytest.raises(Refused, match="has changed meanwhile"):
        capture.capture(warm, found, tmp_path / "store")
    (warm.inductor / "fv" / "cfv1.py").unlink()
    with pytest.raises(Refused, match="does a job still compile"):
        capture.capture(warm, found, tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []

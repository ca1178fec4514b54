"""A container that is killed at any moment leaves a run that ends, and loses no more than an interval."""

import random
import time

import pytest

from tests.modal.test_path import ENDLESS, Job

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.ranks]
INTERVAL_S = 1.0
SLACK_S = 2.0  # a push under way, and the collector's own pace, on a busy machine
ENDS = {6: "internal_failure", 8: "evicted", 10: "oom"}
TEXTS = {6: "internal", 8: "Container was evicted", 10: "Container ran out of memory"}


@pytest.mark.parametrize("seed", range(20))
def test_whenever_a_container_is_killed_its_run_ends(plane, tmp_path, seed):
    chance = random.Random(seed)
    job = Job(plane, tmp_path, ENDLESS)
    started = job.start()
    time.sleep(chance.uniform(0.2, 14.0))
    killed_at = time.time()
    plane.ask("kill", task=started["task"])
    status = chance.choice(list(ENDS))
    plane.ask("finish", call=job.call, status=status, text=TEXTS[status])
    verdict = job.collect()
    assert job.states[-1] == "error" and job.manifest["outcome"] == ENDS[status]
    assert verdict["symptom"] != "none"
    there = job.plane.folder / "plane" / started["task"] / "t/diagnose" / job.run.name
    lost = [
        path.relative_to(there)
        for path in there.glob("attempts/*/*/*")
        if path.stat().st_mtime < killed_at - INTERVAL_S - SLACK_S
        and not path.name.startswith(".")
        and not (job.run / path.relative_to(there)).exists()
    ]
    assert not lost

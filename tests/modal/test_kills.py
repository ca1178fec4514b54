"""A container that is killed at any moment leaves a run that ends, and loses no more than an interval."""

import random
import time

import pytest

from tests.modal.test_path import ENDLESS, Job

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.ranks]
ENDS = {6: "internal_failure", 8: "evicted", 10: "oom"}
TEXTS = {6: "internal", 8: "Container was evicted", 10: "Container ran out of memory"}


@pytest.mark.parametrize("seed", range(20))
def test_whenever_a_container_is_killed_its_run_ends(plane, tmp_path, seed):
    chance = random.Random(seed)
    job = Job(plane, tmp_path, ENDLESS)
    started = job.start()
    time.sleep(chance.uniform(0.2, 14.0))
    plane.ask("kill", task=started["task"])
    status = chance.choice(list(ENDS))
    plane.ask("finish", call=job.call, status=status, text=TEXTS[status])
    verdict = job.collect()
    assert job.states[-1] == "error" and job.manifest["outcome"] == ENDS[status]
    assert verdict["symptom"] != "none"
    lost_s, bound_s = job.lost_s(started["task"]), job.bound_s()
    print(f"lost: the last {lost_s:.2f} s, of {bound_s:.2f} s that may be")
    assert lost_s <= bound_s

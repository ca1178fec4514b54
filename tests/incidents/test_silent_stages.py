"""A pipeline whose middle stage left no dump: is it to blame, or was it never fed?"""

from tests.incidents.handmade import Job
from tests.incidents.pictures import said


def pipelines():
    """Ranks 0-2 and 3-5 are pipelines, each stage with its twin in the other; one micro-batch is through."""
    job = Job(6)
    for num, stages in enumerate(([0, 1, 2], [3, 4, 5])):
        job.group(f"p{num}", stages, str(1 + num), "PP")
    for stage in range(3):
        job.group(f"d{stage}", [stage, 3 + stage], str(3 + stage), "DP")
    for num, first in ((0, 0), (1, 3)):
        job.send(f"p{num}", first, first + 1)
        job.send(f"p{num}", first + 1, first + 2)
    return job


def test_a_silent_stage_that_its_neighbour_did_not_feed_is_not_blamed(tmp_path):
    """Rank 0 stops before its second send: 1, which left no dump, has nothing to pass on to 2."""
    job = pipelines()
    for source, target in ((3, 4), (4, 5)):
        job.send("p1", source, target)
    job.send("p0", 1, 2, ranks=[2], done=False)
    for stage, rank in enumerate((3, 4, 5)):
        job.call(f"d{stage}", ranks=[rank], done=False)
    job.write(tmp_path, without=[1])
    assert said(tmp_path) == {"collective_not_joined": [0]}


def test_a_silent_stage_that_was_fed_is_blamed(tmp_path):
    """Rank 0 has sent and goes on: 1 passes nothing on to 2."""
    job = pipelines()
    for source, target in ((3, 4), (4, 5), (0, 1)):
        job.send("p0" if source < 3 else "p1", source, target)
    job.send("p0", 1, 2, ranks=[2], done=False)
    job.call("d0")
    for stage, rank in ((1, 4), (2, 5)):
        job.call(f"d{stage}", ranks=[rank], done=False)
    job.write(tmp_path, without=[1])
    assert said(tmp_path) == {"collective_not_joined": [1]}

"""Jobs written call by call, and what is said of them."""

from diagnose.bundle import members
from diagnose.pipeline import diagnose_bundle
from tests.incidents.handmade import Job


def verdict(folder):
    return diagnose_bundle(str(folder), members(str(folder)))


def said(folder):
    """{failure: ranks} of the causes."""
    return {cause.failure: cause.ranks for cause in verdict(folder).causes}


def world(num_ranks, library="nccl", num_calls=6, **more):
    """A job whose first calls went well on all ranks."""
    job = Job(num_ranks, library, **more)
    for _ in range(num_calls):
        job.call("world")
    return job


def but(num_ranks, *ranks):
    return [rank for rank in range(num_ranks) if rank not in ranks]


def late(num_ranks, rank, library="nccl", **more):
    """A job where one rank never launches the last call."""
    job = world(num_ranks, library, **more)
    job.call("world", ranks=but(num_ranks, rank), done=False)
    return job


def cascade(num_iterations=4):
    """Eight ranks, pairs in `tensor`, fours in `data`; rank 5 stops before its tensor operation."""
    job = Job(8)
    for i in range(4):
        job.group(f"t{i}", [2 * i, 2 * i + 1], str(1 + i), "tensor")
    for i in range(2):
        job.group(f"d{i}", range(i, 8, 2), str(5 + i), "data")
    for _ in range(num_iterations):
        for key in list(job.groups)[1:]:
            job.call(key)
    for i in range(4):
        job.call(f"t{i}", ranks=[4] if i == 2 else None, done=i != 2)
    job.call("d0", ranks=[0, 2, 6], done=False)
    job.call("d1", ranks=[1, 3, 7], done=False)
    return job

"""Two containers as one cluster: the real runtime twice, real ranks in each, one run."""

import os
import signal
import socket
import sys

import pytest

from tests.modal.test_path import HEAD, HEALTHY, Job, causes

pytestmark = [pytest.mark.torch, pytest.mark.ranks]
KILLED = HEAD + "if rank == 1: time.sleep(1); os.kill(os.getpid(), 9)\nwhile True: step(); time.sleep(0.02)\n"
STUCK = HEAD + "if rank == 3: time.sleep(10000)\nwhile True: step(); time.sleep(0.02)\n"
TWO = ("--gpu", "H100:8", "--nodes", "2")


def gathered(job):
    """Both containers; on Modal each has ports of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return job.plane.ask("gather", call=job.call, env={"OMP_NUM_THREADS": "1", "MASTER_PORT": port})


def wait_for(job, nodes):
    return [job.plane.ask("wait", task=node["task"], seconds=95)["code"] for node in nodes]


def test_a_rank_killed_on_the_second_node_is_named_with_its_node(plane, tmp_path):
    job = Job(plane, tmp_path, KILLED, *TWO, num_ranks=1)
    nodes = gathered(job)
    assert wait_for(job, nodes) == [0, 0]
    verdict = job.collect()
    assert causes(verdict) == [("rank_killed", [1])], verdict["causes"]
    [cause] = verdict["causes"]
    assert cause["nodes"] == ["node-1"] and cause["grade"] == "proven"
    run = verdict["run"]
    assert (run["num_ranks"], run["nodes"], len(run["attempts"])) == (2, ["node-0", "node-1"], 1)
    for number, node in enumerate(nodes):  # both were local rank 0
        logs = job.run / "attempts" / node["task"] / "logs"
        assert [path.name for path in logs.glob("rank-*.log")] == [f"rank-{number:05}.log"]
    assert job.states == ["launching", "detached", "error"]
    *_, function = [f for f in plane.ask("tell")["functions"].values() if f["nodes"] == 2]
    assert (function["gpu"], function["rdma"], function["single_use"]) == ("H100:8", False, True)


@pytest.mark.slow
def test_a_healthy_cluster_comes_back_whole(plane, tmp_path):
    job = Job(plane, tmp_path, HEALTHY, *TWO, num_ranks=2)
    assert wait_for(job, gathered(job)) == [0, 0]
    verdict = job.collect()
    assert (verdict["symptom"], causes(verdict), verdict["run"]["num_ranks"]) == ("none", [], 4)
    assert verdict["coverage"]["rank_log"]["present"] == [0, 1, 2, 3]
    job.collect()
    assert job.states == ["launching", "detached", "ok"] and job.manifest["is_whole"]


@pytest.mark.slow
def test_in_a_hang_nobody_who_waits_on_the_other_node_is_blamed(plane, tmp_path, wait):
    job = Job(plane, tmp_path, STUCK, *TWO, "--stall-after", "8", num_ranks=2)
    nodes = gathered(job)
    wait(lambda: all(num_stacks(job, node) >= 4 for node in nodes), "no look at both nodes")
    for node in nodes:
        os.kill(node["pid"], signal.SIGINT)
    wait_for(job, nodes)
    assert ("collective_not_joined", [3]) in causes(job.collect())


def num_stacks(job, node):
    """Stacks of a node's ranks that have come out of it: two for each rank at a look."""
    return sum(f"/{node['task']}/stacks/" in path for path in job.pushed())


ALONE = """
import os, time
import torch, torch.distributed as dist
dist.init_process_group("gloo", rank=int(os.environ["NODE_RANK"]), world_size=int(os.environ["NNODES"]))
for _ in range(3):
    dist.all_reduce(torch.ones(4))
    time.sleep(0.1)
dist.barrier()
if dist.get_rank() == 1:
    raise OSError("the samples of this node cannot be written")
"""


@pytest.mark.slow
def test_a_failure_that_the_calls_outcome_does_not_show_is_told(plane, tmp_path):
    job = Job(plane, tmp_path, ALONE, *TWO, command=[sys.executable, "train.py"])
    nodes = gathered(job)
    assert wait_for(job, nodes) == [0, 0]
    verdict = job.collect()
    assert job.manifest["result"]["exit_code"] == 0, "node 0's word"
    assert job.manifest["state"] == "error" and "ended with 1" in job.manifest["transitions"][-1]["reason"]
    assert causes(verdict) == [("rank_exception", [1])] and verdict["causes"][0]["nodes"] == ["node-1"]
    [context] = verdict["context"]
    assert context["failure"] == "outcome_narrow" and "node-1 ended with 1" in context["evidence"][0]["text"]
    assert verdict["run"]["nodes"] == ["node-0", "node-1"] and verdict["run"]["exit_code"] == 1

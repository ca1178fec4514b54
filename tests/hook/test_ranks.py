"""What real ranks say about themselves, with real torch and gloo."""

import json
from pathlib import Path
from typing import Any

import pytest

from probes.rank_hook.diagnose_rank import state

pytestmark = [pytest.mark.torch, pytest.mark.ranks]

TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
WARNING = "Server listening to UNIX"

TRAIN = """
import datetime, os, torch, torch.distributed as dist
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=30))
pair = dist.new_group([0, 1], group_desc="pair")
single = dist.new_group([1])
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.SGD([weight], lr=0.1)
for _ in range(3):
    weight.grad = torch.ones(2)
    dist.all_reduce(weight.grad)
    optimizer.step()
if dist.get_rank() == 1:
    raise ValueError("lost the connection, token=abcdefghijkl")
dist.destroy_process_group()
"""

GROUPS = """
import os, sys, torch.distributed as dist, torch.multiprocessing as mp
def work(rank, how):
    store = "file://" + os.path.abspath("store" + how)
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    dist.barrier()
    if rank == 1:
        raise KeyError("boom")
if __name__ == "__main__":
    try:
        mp.spawn(work, ("spawn",), nprocs=2)
    except mp.ProcessRaisedException:
        print("raised")
    children = [mp.get_context("fork").Process(target=work, args=(rank, "fork")) for rank in range(2)]
    for child in children: child.start()
    for child in children: child.join()
"""

WRAPPER = """
import subprocess, sys
print(subprocess.run([sys.executable, "real.py"]).returncode)
"""

REAL = """
import torch.distributed as dist
dist.init_process_group("gloo", init_method="tcp://127.0.0.1:0?rank=0&world_size=1")
print(dist.get_rank(), dist.get_world_size())
"""

SHARDED = """
import inspect, os, torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
store = "file://" + os.path.abspath("store" + str(os.getpid()))
dist.init_process_group("gloo", init_method=store, rank=0, world_size=1)
print([inspect.signature(one) for one in (fully_shard, parallelize_module, FullyShardedDataParallel)])
mesh = init_device_mesh("cpu", (1,), mesh_dim_names=("tp",))
model = parallelize_module(torch.nn.Linear(2, 2), mesh, ColwiseParallel())
fully_shard(torch.nn.Linear(2, 2), mesh=mesh)
print(fully_shard.state(model), fully_shard.__module__)
try:
    fully_shard(3)
except Exception as error:
    print(type(error).__name__)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
"""

REFUSED = """
import inspect, torch.distributed as dist
import torch.distributed.distributed_c10d as c10d
print(inspect.signature(dist.init_process_group), dist.init_process_group is c10d.init_process_group)
dist.init_process_group("gloo", init_method="tcp://127.0.0.1:0", rank=0)
"""

COMPILED = """
import inspect, json, os, torch, torch.distributed as dist
from torch._dynamo.utils import counters
store = "file://" + os.path.abspath("store" + str(os.getpid()))
dist.init_process_group("gloo", init_method=store, rank=0, world_size=1)
Wrapped = torch.nn.parallel.DistributedDataParallel
print(inspect.signature(Wrapped))
class Inner(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner(2, 2)
        self.inner.compile(backend="eager")
    def forward(self, x):
        return self.inner(x)
print(Wrapped(Net())(torch.ones(1, 2)).shape)
torch._dynamo.reset()
counters.clear()
layer = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
def forward(x):
    y = layer(x)
    torch._dynamo.graph_break()
    return y.sum() if x.shape[0] > 2 else y.mean()
def step():
    optimizer.step()
for _ in range(2):
    compiled, compiled_step = torch.compile(forward, backend="eager"), torch.compile(step, backend="eager")
    for rows in (2, 3, 4):
        compiled(torch.ones(rows, 2)).backward()
        compiled_step()
        optimizer.step()
    print(json.dumps({name: counters[name] for name in ("stats", "graph_break", "unimplemented")}))
    torch._dynamo.reset()
print(json.dumps([str(reason) for reason in torch._dynamo.utils.guard_failures.values()]))
"""


def without_server_line(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if WARNING not in line)


def kinds(runner: Any, rank: int) -> list[str]:
    return [event["event"] for event in runner.events(rank)]


def test_two_ranks_of_torchrun_tell_all_that_the_contract_says(runner: Any, python: Any) -> None:
    done = runner.hooked(python(*TORCHRUN, runner.write("train.py", TRAIN)), RANK="5", WORLD_SIZE="8")
    assert done.returncode == 1
    assert runner.ranks() == ["rank-00000", "rank-00001"]  # and not the outer 5: torchrun is never a rank
    begins = ["rank.claimed", "torch.imported", "control.listening", "phase.started", "phase.ended"]
    assert kinds(runner, 1) == [
        *begins,
        *["group.created"] * 3,
        "step.first_completed",
        "rank.described",
        "flight.dumped",
        "exception.raised",
        "rank.described",
        "steps.timed",
        "rank.exiting",
    ]
    told = runner.one(1, "flight.dumped")
    recorded = json.loads(Path(runner.spool, told["path"]).read_text())["entries"]
    assert (told["dir"], [e["collective_seq_id"] for e in recorded]) == ("raised", [1, 2, 3])
    for event in runner.events(0) + runner.events(1):
        assert (event["v"], event["source"], event["run"], event["attempt"]) == (1, "rank_hook", "r1", "1")
        assert event["level"] in ("info", "error") and event["node"] and event["time"] > 1e9

    claimed = runner.one(1, "rank.claimed")
    assert (claimed["rank"], claimed["local_rank"], claimed["world_size"]) == (1, 1, 2)
    assert (claimed["restart_count"], claimed["how"], claimed["socket"]) == (0, "environment", None)
    assert claimed["start_ticks"] > 0 and claimed["ppid"] > 0 and claimed["argv"].endswith("train.py")
    assert runner.one(1, "torch.imported")["torch"].startswith("2")
    assert runner.one(1, "control.listening")["socket"] == f"{runner.spool}/sock/r1-{claimed['pid']}.sock"
    assert not list(Path(runner.spool, "sock").iterdir())  # nobody asks a rank that is being torn down

    started, ended = runner.one(1, "phase.started"), runner.one(1, "phase.ended")
    assert (started["phase"], started["num"], started["backend"], started["timeout_s"]) == (
        "init_process_group",
        1,
        "gloo",
        30.0,
    )
    assert started["address"].startswith("tcp://") and started["world_size"] == 2
    assert ended["ok"] is True and 0 <= ended["seconds"] < 30

    groups = [event for event in runner.events(1) if event["event"] == "group.created"]
    assert [(g["desc"], g["ranks"], g["backend"], g["timeout_s"], g["index"]) for g in groups] == [
        ("default_pg", [0, 1], "gloo", 30.0, 0),
        ("pair", [0, 1], "gloo", 1800.0, 1),
        ("undefined", [1], "gloo", 1800.0, 2),
    ]
    assert len([event for event in runner.events(0) if event["event"] == "group.created"]) == 2

    raised = runner.one(1, "exception.raised")
    assert (raised["type"], raised["message"]) == ("ValueError", "lost the connection, token=<redacted>")
    assert raised["frames"][-1].endswith("train.py:13 in <module>") and raised["thread"] == "MainThread"
    error = json.loads(Path(runner.spool, "attempts/1/errors/rank-00001.json").read_text())
    assert (error["rank"], error["pid"]) == (1, claimed["pid"])
    assert error["message"]["message"] == "ValueError: lost the connection, token=<redacted>"
    assert error["message"]["extraInfo"]["py_callstack"].startswith("Traceback (most recent call last)")
    assert "abcdefghijkl" not in json.dumps(error)
    assert int(error["message"]["extraInfo"]["timestamp"]) > 1e9

    page = state.read(f"{runner.spool}/attempts/1/state/rank-00001.bin")
    assert page is not None and page.has_group and page.is_exiting and not page.usr2_taken
    assert (page.pid, page.start_ticks, page.num_steps, page.phase) == (
        claimed["pid"],
        claimed["start_ticks"],
        3,
        "",
    )
    assert page.num_progress >= 5 and page.last_progress >= page.last_step > claimed["time"]
    assert runner.claim(1)["has_process_group"] is True


def test_children_of_multiprocessing_learn_their_rank_from_the_process_group(
    runner: Any, python: Any
) -> None:
    done = runner.hooked(python(runner.write("train.py", GROUPS)))
    assert done.stdout == "raised\n"
    claims = [event for event in runner.events(1) if event["event"] == "rank.claimed"]
    assert [(event["how"], event["world_size"], event["local_rank"]) for event in claims] == [
        ("process_group", 2, None)
    ] * 2
    for kind in ("exception.raised", "phase.ended", "rank.exiting", "control.listening"):
        assert kinds(runner, 1).count(kind) == 2, kind
    raised = [event for event in runner.events(1) if event["event"] == "exception.raised"]
    assert {(event["type"], event["message"]) for event in raised} == {("KeyError", "'boom'")}
    # The parent was rank 0 of 1 only until a child was.
    assert [
        event.get("provisional", False) for event in runner.events(0) if event["event"] == "rank.claimed"
    ] == [
        True,
        False,
        False,
    ]
    assert "exception.raised" not in kinds(runner, 0)


def test_the_real_rank_below_a_wrapper_takes_the_claim(runner: Any, python: Any) -> None:
    runner.write("real.py", REAL)
    done = runner.hooked(python(runner.write("wrapper.py", WRAPPER)), RANK="0", WORLD_SIZE="1")
    assert done.stdout == "0 1\n0\n"
    claims = [event for event in runner.events(0) if event["event"] == "rank.claimed"]
    assert [event["how"] for event in claims] == ["environment", "process_group"]
    assert claims[1]["argv"].endswith("real.py") and runner.claim(0)["pid"] == claims[1]["pid"]
    assert kinds(runner, 0).count("rank.exiting") == 1


def test_a_command_that_makes_a_process_group_is_provisional_no_more(runner: Any, python: Any) -> None:
    assert runner.hooked(python(runner.write("real.py", REAL))).stdout == "0 1\n"
    claims = [event for event in runner.events(0) if event["event"] == "rank.claimed"]
    assert [(event["how"], event.get("provisional", False)) for event in claims] == [
        ("command", True),
        ("process_group", False),
    ]
    assert claims[0]["pid"] == claims[1]["pid"] and claims[1]["stack_fd"] == claims[0]["stack_fd"] > 0


def test_a_refused_process_group_fails_with_the_same_traceback(runner: Any, python: Any) -> None:
    argv = python(runner.write("train.py", REFUSED))
    bare, hooked = runner.both(argv)
    assert hooked.stdout == bare.stdout
    assert without_server_line(hooked.stderr) == bare.stderr
    assert runner.one(0, "phase.ended")["ok"] is False
    assert runner.one(0, "exception.raised")["type"] == "ValueError"


def test_the_compiler_counts_the_same_with_and_without_the_hook(runner: Any, python: Any) -> None:
    argv = python(runner.write("train.py", COMPILED))
    bare, hooked = runner.both(argv)
    assert hooked.stdout == bare.stdout and bare.returncode == 0
    started = [event for event in runner.events(0) if event["event"] == "phase.started"]
    ended = [event for event in runner.events(0) if event["event"] == "phase.ended"]
    started = [event for event in started if event["phase"] != "init_process_group"]
    ended = [event for event in ended if event["phase"] != "init_process_group"]
    assert {event["phase"] for event in started} == {"compile"} and len(started) == len(ended)
    resets = [event["num"] for event in started]
    assert resets == list(range(1, len(resets) + 1)) and len(resets) >= 8  # they come back after a reset
    page = state.read(f"{runner.spool}/attempts/1/state/rank-00000.bin")
    assert page is not None and page.num_compiles == len(started) and page.compile_s > 0
    assert page.num_steps >= 6 and runner.one(0, "step.first_completed")["seconds"] > 0
    wrapped = [event for event in runner.events(0) if event["event"] == "model.wrapped"]
    assert [(e["wrapper"], e["model"]) for e in wrapped] == [("ddp", "Net")]
    begun = [event for event in started if event["phase"] == "compile"]
    regional = [event["regional"] for event in begun]
    assert regional[:2] == [True, False]  # a module inside of Net, then a function
    steps = [event["step"] for event in begun]
    assert steps == sorted(steps) and steps[0] == 0 < steps[-1]
    told = [event for event in runner.events(0) if event["event"] == "rank.described"]
    assert [event["when"] for event in told] == ["first_step", "exit"]
    assert told[1]["compiler"]["graphs"] > 0 and told[1]["peak_rss"] > 1 << 20
    timed = runner.one(0, "steps.timed")
    assert timed["num_steps"] == page.num_steps and 0 < timed["p10_s"] <= timed["median_s"] <= timed["max_s"]


@pytest.mark.slow
def test_what_shards_a_model_is_told_and_works_as_without_us(runner: Any, python: Any) -> None:
    bare, hooked = runner.both(python(runner.write("train.py", SHARDED)))
    assert hooked.stdout == bare.stdout and bare.returncode == 0, bare.stderr
    wrapped = [event["wrapper"] for event in runner.events(0) if event["event"] == "model.wrapped"]
    assert wrapped == ["tensor_parallel", "fsdp2"]
    assert not [event for event in runner.events(0) if event["event"] == "hook.failed"]

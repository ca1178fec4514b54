"""The agent sees real processes die, stop and fall silent, and takes evidence of real ranks."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from probes import procfs
from probes.agent import TICK_S, Agent
from probes.watching.rank import Rank

from .conftest import Job, wait_for

HANG = """
import os, sys, time, datetime
import torch, torch.distributed as dist
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=120))
rank, x = dist.get_rank(), torch.ones(4)
def skips_the_collective():
    open(sys.argv[1] + str(rank), "w").close()
    while not os.path.exists(sys.argv[1] + "go"):
        time.sleep(0.05)
for _ in range(3):
    dist.all_reduce(x)
if rank == 1:
    skips_the_collective()
dist.all_reduce(x)
if rank == 0:
    os._exit(3)
time.sleep(60)
"""


def start_ranks(job: Job, program: str, num: int) -> list[subprocess.Popen[bytes]]:
    """Ranks as any launcher starts them, with the hook."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": str(num),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    argv = [sys.executable, "-c", program, str(job.folder / "mark")]
    return [job.popen(argv, env=job.hooked(RANK=str(r), LOCAL_RANK=str(r), **where)) for r in range(num)]


CRASH = """
import os, sys, time
import torch, torch.distributed as dist
dist.init_process_group("gloo")
rank = dist.get_rank()
for _ in range(3):
    dist.all_reduce(torch.ones(4))
time.sleep(2)
if rank == 1:
    os.abort()
time.sleep(60)
"""


@pytest.mark.torch
@pytest.mark.ranks
def test_what_the_others_were_at_when_one_crashed_is_dumped_before_they_are_ended(job: Job) -> None:
    """A launcher ends them within a tenth of a second; this one is the test itself, and waits."""
    pytest.importorskip("torch")
    job.agent()
    start_ranks(job, CRASH, 2)
    wait_for(lambda: job.events("rank.died", rank=1))
    taken = wait_for(lambda: [e for e in job.events("evidence.taken") if e["cause"] == "crashed"])[0]
    said = [event["event"] for event in job.said()]
    assert taken["ranks"] == [0] and said.index("evidence.taken") < said.index("rank.died")
    (dump,) = (job.spool / "attempts" / "1" / "flight" / taken["time_dir"]).iterdir()
    last = json.loads(dump.read_text())["entries"][-1]
    assert dump.name == "rank-00000.json" and last["collective_seq_id"] == 3


@pytest.mark.torch
@pytest.mark.ranks
def test_a_hang_is_called_looked_at_twice_and_its_end_is_told(job: Job) -> None:
    pytest.importorskip("torch")
    ranks = start_ranks(job, HANG, 2)
    job.agent("--stall-after-first", "60", stall_after=4.0)
    wait_for((job.folder / "mark1").exists)
    stalled = wait_for(lambda: job.events("job.stalled"))[0]
    assert stalled["ranks"] == [0, 1] and stalled["stall_after_s"] == 4.0
    taken = wait_for(lambda: [e for e in job.events("evidence.taken") if e["cause"] == "stalled"])[0]
    said = [event["event"] for event in job.said()]
    assert said.index("job.stalled") < said.index("stack.dumped") and len(set(taken["time_dirs"])) == 2
    for scan, folder in enumerate(taken["time_dirs"], 1):
        for rank in (0, 1):
            dump = json.loads((job.spool / f"attempts/1/flight/{folder}/rank-{rank:05d}.json").read_text())
            assert max(e["collective_seq_id"] for e in dump["entries"]) == (4 if rank == 0 else 3)
            stack = (job.spool / f"attempts/1/stacks/{folder}/rank-{rank:05d}.json").read_text()
            assert ("skips_the_collective" in stack) == (rank == 1)
            assert [e for e in job.events("proc.dumped", rank) if e["scan"] == scan and e["dir"] == folder]
    assert {e["path"] for e in job.events("stack.dumped", 1)} >= {
        f"attempts/1/stacks/{folder}/rank-00001.json"
    }
    (job.folder / "markgo").touch()
    progressed = wait_for(lambda: job.events("job.progressed"))[0]
    assert progressed["moved"] == "collective" and progressed["after_s"] >= 4
    died = wait_for(lambda: job.events("rank.died", 0))[0]
    assert died["exit_code"] == 3 and died["signal"] is None
    assert ranks[0].wait(60) == 3


def hook_said(job: Job, kind: str, rank: int) -> list[dict[str, Any]]:
    return [event for event in job.said(writer=f"rank-{rank:05d}") if event["event"] == kind]


WITHOUT_SERVER = """
import torch._C._distributed_c10d as c10d
del c10d._WorkerServer
"""


@pytest.mark.torch
@pytest.mark.ranks
def test_ranks_whose_torch_has_no_control_server_answer_by_a_thread_of_the_hook(job: Job) -> None:
    pytest.importorskip("torch")
    start_ranks(job, WITHOUT_SERVER + HANG, 2)
    job.agent("--stall-after-first", "60", stall_after=4.0)
    told = wait_for(lambda: hook_said(job, "control.listening", 1))[0]
    assert told["by"] == "hook" and Path(told["socket"]).stat().st_mode & 0o777 == 0o600
    taken = wait_for(lambda: [e for e in job.events("evidence.taken") if e["cause"] == "stalled"])[0]
    for folder in taken["time_dirs"]:
        for rank in (0, 1):
            dump = json.loads((job.spool / f"attempts/1/flight/{folder}/rank-{rank:05d}.json").read_text())
            assert max(e["collective_seq_id"] for e in dump["entries"]) == (4 if rank == 0 else 3)


@pytest.mark.torch
@pytest.mark.ranks
def test_ranks_are_looked_at_before_their_collective_times_out(job: Job) -> None:
    """The stall would be called after a minute; after eight seconds gloo calls done what failed."""
    pytest.importorskip("torch")
    start_ranks(job, HANG.replace("seconds=120", "seconds=8"), 2)
    job.agent(stall_after=60.0)
    expiring = wait_for(lambda: job.events("job.expiring"))[0]
    taken = wait_for(lambda: [e for e in job.events("evidence.taken") if e["cause"] == "expiring"])[0]
    assert expiring["ranks"] == [0] and not job.events("job.stalled")
    dump = json.loads((job.spool / f"attempts/1/flight/{taken['time_dir']}/rank-00000.json").read_text())
    last = dump["entries"][-1]
    assert (last["collective_seq_id"], last["retired"], last["timeout_ms"]) == (4, False, 8000)
    raised = wait_for(lambda: hook_said(job, "exception.raised", 0))[0]
    assert expiring["time"] < raised["time"] and "imed out" in raised["message"]


@pytest.mark.parametrize("ending", [["sleep", "300"], ["sh", "-c", "read x; exit 7"]])
def test_a_death_is_seen_at_once_with_its_code_or_signal(job: Job, ending: list[str]) -> None:
    """No tick is due for minutes: it is the death itself that wakes the agent, and then its own end."""
    reader, writer = os.pipe()
    rank = subprocess.Popen(ending, env=job.env(), stdin=reader)
    os.close(reader)
    job.started.append(rank)
    job.claim(0, rank.pid)
    watching = job.agent(tick_s=3600.0)
    wait_for(lambda: job.events("rank.sampled", 0))
    rank.kill() if ending[0] == "sleep" else os.close(writer)
    event = wait_for(lambda: job.events("rank.died", 0))[0]
    assert (event["exit_code"], event["signal"]) == ((None, 9) if ending[0] == "sleep" else (7, None))
    assert event["via"] in ("zombie", "pidfd_info")
    if ending[0] == "sleep":
        os.close(writer)
    watching.terminate()
    assert watching.wait(15) == 0, "what its parent gives it"


@pytest.fixture
def watch(job: Job) -> Agent:
    """An agent in this process, whose ticks the test makes."""
    given = {"spool": str(job.spool), "run": "test", "attempt": "1", "mark": job.mark, "on_stall": "keep"}
    times = {"stall_after": 60.0, "stall_after_first": 60.0, "command_pid": 0, "parent_pid": 0}
    return Agent(argparse.Namespace(**given, **times))


def test_a_stop_is_told_at_the_second_tick_that_finds_it_and_its_end_at_the_first(
    job: Job, watch: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, said = job.popen(["sleep", "300"]), []
    monkeypatch.setattr(watch, "_say_of", lambda one, kind, **data: said.append(kind))
    one = Rank(0, "1", process.pid, 0, "environment", 0, 1)

    def tick(state: str) -> list[str]:
        said.clear()
        wait_for(lambda: (now := procfs.stat(process.pid)) is not None and now.state == state)
        watch._update(one)
        return [kind for kind in said if kind != "rank.sampled"]

    assert tick("S") == []
    process.send_signal(signal.SIGSTOP)
    assert [tick("T"), tick("T"), tick("T")] == [[], ["rank.stopped"], []]
    process.send_signal(signal.SIGCONT)
    assert tick("S") == ["rank.continued"] and TICK_S == 1.0


def test_a_look_begins_in_the_tick_that_calls_the_stall_and_one_under_way_is_hurried_at_the_end(
    watch: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    limits: list[float] = []
    monkeypatch.setattr(watch.stalls, "watch", lambda ranks, now: "stalled")
    monkeypatch.setattr(watch.looks, "begin", lambda ranks, now: begun.append((dict(watch.looks.due), now)))
    monkeypatch.setattr(watch.looks, "hurry", limits.append)
    watch._tick(7.0)
    assert begun == [({"stalled": 7.0}, 7.0)]
    assert watch._end() == 0 and limits == [1.2]


def test_a_stopped_rank_and_one_without_a_hook_are_noticed_and_every_refusal_has_a_reason(job: Job) -> None:
    bare = job.popen(["sleep", "300"], env=job.env(RANK="1", LOCAL_RANK="1", WORLD_SIZE="2"))
    claimed = job.popen(["sleep", "301"], env=job.env())
    job.claim(0, claimed.pid, stack_signal=12)
    job.agent()
    found = wait_for(lambda: job.events("rank.found", 1))[0]
    assert found["pid"] == bare.pid and found["how"] == "environment"
    claimed.send_signal(signal.SIGSTOP)
    wait_for(lambda: job.events("rank.stopped", 0))
    claimed.send_signal(signal.SIGCONT)
    wait_for(lambda: job.events("rank.continued", 0))
    bare.kill()
    wait_for(lambda: job.events("rank.died", 1))
    taken: dict[str, Any] = wait_for(lambda: job.events("evidence.taken"))[0]
    assert taken["cause"] == "died" and taken["ranks"] == [0]
    refused = {e["via"]: e["reason"] for e in job.events("stack.refused", 0)}
    assert "handler" in refused["faulthandler"] and refused["py_spy"]
    assert job.events("flight.refused", 0)[0]["reason"] == "no control server"
    assert job.events("proc.dumped", 0) and claimed.poll() is None


def test_without_any_progress_signal_the_job_is_called_unwatched_and_never_stalled(job: Job) -> None:
    rank = job.popen(["sleep", "300"], env=job.env())
    job.claim(0, rank.pid)
    agent = job.agent(stall_after=2.0)
    assert "step" in wait_for(lambda: job.events("job.unwatched"))[0]["missing"]
    agent.terminate()
    assert agent.wait(15) == 0, "what its parent gives it"
    assert not job.events("job.stalled") and job.events("agent.ended")


def test_when_its_parent_is_killed_the_agent_ends_every_marked_process_and_no_other(job: Job) -> None:
    parent = job.popen(["sleep", "300"])
    stubborn = "import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\nos.setsid()\ntime.sleep(300)"
    marked = [job.popen(argv, env=job.env()) for argv in (["sleep", "300"], ["setsid", "sleep", "300"])]
    stays = job.popen(["sleep", "300"])
    hard = job.popen([sys.executable, "-c", stubborn], env=job.env())
    agent = job.agent(parent=parent.pid)
    wait_for(lambda: job.events("agent.started"))
    parent.kill()
    parent.wait()
    assert [one.wait(60) for one in marked] == [-15, -15]
    assert hard.wait(60) == -9 and agent.wait(60) == 0
    lost = job.events("parent.lost")[0]
    assert {one.pid for one in marked} <= set(lost["ended"]) and lost["stuck"] == [] and stays.poll() is None


def test_an_agent_started_again_goes_on_and_tells_no_death_twice(job: Job) -> None:
    ranks = [job.popen(["sleep", "300"], env=job.env()) for _ in range(3)]
    for rank, process in enumerate(ranks):
        job.claim(rank, process.pid)
    first = job.agent()
    wait_for(lambda: job.events("rank.found", 2))
    ranks[0].kill()
    wait_for(lambda: job.events("rank.died", 0))
    first.kill()
    first.wait()
    ranks[1].kill()
    ranks[1].wait()
    job.agent()
    told = wait_for(lambda: job.events("rank.died", 1))[0]
    assert told["exit_code"] is None and told["via"] == "unknown"
    wait_for(lambda: len(job.events("rank.found", 2)) == 2)
    assert len(job.events("rank.died", 0)) == 1 and ranks[2].poll() is None

"""`diagnose attach` on real ranks that were started without us: what it finds, says, and leaves alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from diagnose.ground import Ground, sweep
from diagnose.verdict import Verdict
from probes import procfs
from probes.finding.processes import read
from probes.watching import standing

pytestmark = [pytest.mark.ranks, pytest.mark.torch]
ATTACH = ["-P", "-m", "diagnose", "attach"]
LIMIT_S = 120

PROGRAM = """
import os, sys, time, threading, faulthandler, signal
import torch, torch.distributed as dist, torch.multiprocessing as mp
from datetime import timedelta

def wait_for_the_others(rank):
    threading.Event().wait() if rank else dist.all_reduce(torch.ones(4))

def main(rank, size):
    dist.init_process_group("gloo", rank=rank, world_size=size, timeout=timedelta(seconds=120))
    os.write(1, f"rank {rank} is up HF_TOKEN=hf_abcdefghijklmnopqrstuv\\n".encode())  # whole: ranks share it
    if "moves" in sys.argv:
        faulthandler.register(signal.SIGUSR1)
        while True:
            dist.all_reduce(torch.ones(4))
            time.sleep(0.02)
    wait_for_the_others(rank)

if __name__ == "__main__":
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        main(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    else:
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "127.0.0.1", sys.argv[1]
        mp.spawn(main, args=(2,), nprocs=2)
"""


@dataclass(frozen=True)
class Visit:
    """What one `diagnose attach` said."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def verdict(self) -> Verdict:
        return msgspec.json.decode(self.out, type=Verdict)

    @property
    def causes(self) -> list[tuple[str, list[int], str]]:
        return [(cause.failure, cause.ranks, cause.grade) for cause in self.verdict.causes]


@dataclass(frozen=True)
class Jobs:
    """Three jobs beside each other: started by a launcher and hung, spawned and hung, moving."""

    ground: Ground
    pids: dict[str, int]

    def ranks(self, name: str) -> list[int]:
        """Its ranks' processes, in order of their start."""
        parent = self.pids[name]
        found = [one for pid in procfs.pids() if (one := read(pid)) and one.has_group and one.ppid == parent]
        return [one.pid for one in sorted(found, key=lambda one: (one.start_ticks, one.pid))]

    def attach(self, *words: object, under: tuple[str, ...] = (), **env: str) -> Visit:
        begun = time.monotonic()
        command = [*(under or (sys.executable,)), *ATTACH, *map(str, words), "--root", str(self.ground.root)]
        environ = self.ground.environment({"TMPDIR": "/tmp", **env})
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, env=environ)
        return Visit(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    def json(self, *words: object, **more: str) -> Visit:
        return self.attach(*words, "--format", "json", **more)


def port() -> str:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    ground = Ground.below(tmp_path_factory.mktemp("attach"))
    ground.temporary.mkdir()
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "job.py",
    ]
    spawn = [sys.executable, "job.py", port()]
    started = {}
    for name, command in {"launched": launch, "spawned": spawn, "moving": [*launch, "moves"]}.items():
        work = ground.top / name
        work.mkdir()
        (work / "job.py").write_text(PROGRAM)
        with (work / "log.txt").open("wb") as log:
            started[name] = subprocess.Popen(
                command,
                cwd=work,
                env=ground.environment({}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    found = Jobs(ground, {name: process.pid for name, process in started.items()})
    try:
        end = time.monotonic() + LIMIT_S
        while not all(is_up(found, name) for name in started):
            assert time.monotonic() < end, "the jobs did not come up"
            time.sleep(0.1)
        yield found
    finally:
        sweep(ground.temporary, 0)
        for process in started.values():
            process.wait()


def is_up(jobs: Jobs, name: str) -> bool:
    """Two ranks have a group, and stand still where they should."""
    ranks = jobs.ranks(name)
    still = [standing.describe(pid).get("still_s", 0.0) for pid in ranks]
    return len(ranks) == 2 and (name == "moving" or min(still) > 1.0)


def events(visit: Visit) -> list[dict]:
    path = Path(visit.verdict.bundle, "attempts/1/events/agent-000001.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def counts(pids: list[int]) -> list[object]:
    """What changes as soon as a thread runs, or gets a signal."""
    return [(pid, procfs.stat(pid).start_ticks, procfs.switches(pid)) for pid in pids]


@pytest.fixture(scope="module")
def visits(jobs):
    """All visits at the same time: each mostly waits between its two scans."""
    bare = str(Path(sys.executable).resolve())  # an interpreter without py-spy beside it
    packages = os.pathsep.join(path for path in sys.path if path)
    without = {"under": (bare,), "PATH": "/usr/bin:/bin", "PYTHONPATH": packages}
    hung = jobs.ranks("launched") + jobs.ranks("spawned")
    before = counts(hung)
    asked = {
        "launched": lambda: jobs.json(jobs.pids["launched"]),
        "spawned": lambda: jobs.attach(jobs.ranks("spawned")[1]),
        "moving": lambda: jobs.json(jobs.pids["moving"]),
        "one": lambda: jobs.json(jobs.pids["launched"], "--rank", "1"),
        "blind": lambda: jobs.json(jobs.pids["launched"], **without),
        "signal": lambda: jobs.json(jobs.pids["moving"], "--signal", **without),
        "gone": lambda: jobs.attach(2**22 - 1),
    }
    with ThreadPoolExecutor(len(asked)) as lanes:
        done = dict(zip(asked, lanes.map(lambda ask: ask(), asked.values()), strict=True))
    return {**done, "before": before, "after": counts(hung)}


def test_the_culprit_of_a_launched_job_is_named_by_one_look_that_nothing_refuses(visits):
    """How long that takes, tests/bench/attach.py measures."""
    visit = visits["launched"]
    assert visit.causes == [("user_lock_deadlock", [1], "likely")]
    said = events(visit)
    dumped = [(e["rank"], e["scan"]) for e in said if e["event"] == "stack.dumped"]
    assert visit.code == 1 and sorted(dumped) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert not [e for e in said if e["event"] == "stack.refused"], "no deadline was waited for"
    assert visit.verdict.waits[0].waiting == [0] and visit.verdict.waits[0].awaited == [1]


def test_ranks_that_were_spawned_without_rank_are_found_and_numbered(visits):
    visit = visits["spawned"]
    assert visit.code == 1
    assert "rank 1: waits for a lock" in " ".join(visit.out.split())
    assert "evidence and verdict: " in visit.err


def test_a_job_that_moves_has_nothing_wrong(visits):
    visit = visits["moving"]
    assert (visit.code, visit.verdict.symptom, visit.causes) == (0, "none", [])


def test_one_rank_alone_is_never_to_blame(visits):
    visit = visits["one"]
    assert (visit.code, visit.causes) == (3, [])
    assert visit.verdict.coverage["stack_dump"].present == [1]
    assert visit.verdict.coverage["stack_dump"].reason["0"] == "not asked for (--rank)"
    assert "stack_dump" in [wanted.source for wanted in visit.verdict.collect_next]


def test_without_py_spy_it_says_so_and_what_to_do(visits):
    visit = visits["blind"]
    assert visit.code in (1, 3)
    assert "py-spy is not installed" in visit.verdict.coverage["stack_dump"].reason["0"]


def test_only_if_allowed_a_rank_prints_its_stack_by_the_signal_its_program_has_for_it(visits, jobs):
    visit = visits["signal"]
    assert visit.verdict.coverage["stack_dump"].present == [0, 1]
    sent = [line for line in events(visit) if line["event"] == "signal.sent"]
    assert {line["pid"] for line in sent} == set(jobs.ranks("moving"))
    assert not [line for line in events(visits["blind"]) if line["event"] == "signal.sent"]


def test_the_job_is_as_it_was(visits, jobs):
    """Neither a signal nor a pause: the ranks' main threads have not run once."""
    assert visits["before"] == visits["after"]


def test_what_was_taken_is_kept_without_secrets_and_judged_again_alike(visits, jobs):
    run = Path(visits["launched"].verdict.bundle)
    text = "".join(path.read_text(errors="replace") for path in run.rglob("*") if path.is_file())
    assert "rank 0 is up" in text and "hf_abc" not in text
    again = subprocess.run(
        [sys.executable, "-P", "-m", "diagnose", "show", str(run), "--format", "json"],
        capture_output=True,
        text=True,
    )
    told = json.loads(again.stdout)
    assert told["causes"] == json.loads(visits["launched"].out)["causes"]


def test_several_jobs_are_listed_and_one_must_be_named(jobs):
    visit = jobs.attach()
    assert visit.code == 2
    assert all(f"diagnose attach {jobs.ranks(name)[0]}" in visit.err for name in jobs.pids)


def test_an_unknown_process_and_an_unknown_rank_are_wrong_usage(jobs, visits):
    gone = visits["gone"]
    assert (gone.code, gone.out) == (2, "") and "no such process" in gone.err
    other = jobs.attach(jobs.pids["launched"], "--rank", 7)
    assert other.code == 2 and "no process here is that rank" in other.err


def privileged(*needed: str) -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, needed)):
        pytest.skip(f"needs root and {', '.join(needed)}")


def test_what_the_kernel_refuses_is_said_with_the_way_out(jobs):
    privileged("setpriv")
    less = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", sys.executable)
    visit = jobs.json(jobs.pids["launched"], under=less)
    assert visit.code == 3 and visit.verdict.symptom == "unknown"
    assert "CAP_SYS_PTRACE" in visit.err


def test_a_host_without_ranks_gets_one_clear_line(jobs):
    privileged("unshare")
    visit = jobs.attach(under=("unshare", "-pf", "--mount-proc", sys.executable))
    assert visit.code == 3
    assert visit.err.startswith("diagnose: no ranks on this host") and visit.err.count("\n") == 1

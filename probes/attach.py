"""Look once at a job that was started without us: its ranks' stacks, states, dumps and logs, in two scans.

It changes nothing in the job. `--signal` allows what does: a stack signal to a rank that printed no stack
otherwise, a byte into the dump pipe of the recorder. `--native` pauses each rank for a moment.
"""

import argparse
import json
import os
import select
import sys
import time
from typing import Any

from probes import deadline, dumps, environment, layout, procfs, stacks
from probes.attaching import around, logs, reach
from probes.emit import open_log
from probes.files import atomic_write
from probes.watching import standing
from probes.watching.look import Look
from probes.watching.rank import Rank
from probes.watching.sampler import Sampler
from probes.watching.table import Table

ATTEMPT = "1"
BETWEEN_S = 3.0
_OFFERED_S = 5.0  # beside the look, and what it may take longer than that
_READ_S = 1.0  # a process whose memory the kernel holds locked does not answer for itself


def ranks_of(job: dict[str, Any], attempt: str = ATTEMPT) -> list[Rank]:
    """The ranks of a job as `python -m probes.finding` printed it."""
    found = []
    for one in job["ranks"]:
        local = one["rank"] if one["local_rank"] is None else one["local_rank"]
        rank = Rank(
            one["rank"], attempt, one["pid"], one["start_ticks"], one["how"], local, job["world_size"]
        )
        rank.restart_count, rank.found = one["restart_count"], time.time()
        found.append(rank)
    return found


def elsewhere(job: dict[str, Any]) -> dict[str, list[int]]:
    """Ranks that are not looked at, by the reason."""
    here = {one["rank"] for one in job["ranks"]} | set(job["missing"])
    far = sorted(set(range(min(job["world_size"], 1 << 17))) - here - set(job["skipped"]))
    told = {"not asked for (--rank)": job["skipped"], "not on this host: attach there, too": far}
    return {why: ranks for why, ranks in told.items() if ranks}


class Attach:
    """One visit to the `ranks` of `job`."""

    def __init__(self, given: argparse.Namespace, job: dict[str, Any]) -> None:
        self.given, self.job, self.begun = given, job, time.time()
        self.ranks = ranks_of(job, given.attempt)
        run = given.run or os.path.basename(given.run_dir.rstrip("/"))
        path = layout.segment_path(given.run_dir, given.attempt, "agent", 1)
        self.log = open_log("agent", path, run, given.attempt)
        self.table = Table("")
        self.sampler = Sampler(given.run_dir, self.table)
        starts = [procfs.started_at(one.start_ticks) for one in self.ranks]
        top = procfs.stat(job["launcher"]) if job["launcher"] > 1 else None
        self.started = min([*starts, procfs.started_at(top.start_ticks)] if top else starts)

    def say(self, kind: str, rank: int | None, **data: Any) -> None:
        """An event of the agent's kind."""
        is_news = kind.endswith((".refused", ".missing", ".stalled"))
        (self.log.warning if is_news else self.log.info)(kind, rank=rank, **data)

    def run(self) -> None:
        """Everything in order of its worth: stacks and states first."""
        given = self.given
        self.say(
            "attach.started",
            None,
            pids=[one.pid for one in self.ranks],
            stall_after_s=given.stall_after,
            may_signal=given.signal,
            native=given.native,
            py_spy=stacks.find_py_spy(),
            uid=os.getuid(),
        )
        offered = deadline.fork(
            lambda _: environment.write(environment.path_of(given.run_dir, given.attempt))
        )
        self.table.refresh()
        for one, told in zip(self.ranks, self.job["ranks"], strict=True):
            self.meet(one, told)
        if self.job["missing"]:
            why = "it should run on this host, and no process here is this rank"
            self.say("ranks.missing", None, ranks=self.job["missing"], reason=why)
        for why, ranks in elsewhere(self.job).items():
            self.say("ranks.elsewhere", None, ranks=ranks, reason=why)
        if given.signal:
            dumps.ask(self.ranks)
        self.sample()
        look = Look(
            self.ranks, given.run_dir, "asked", self.say, may_signal=given.signal, native=given.native
        )
        look.take(given.between)
        self.sample()
        for one in self.ranks:
            self.bring(one, look.time_dir)
        logs.copy(self.ranks, given.run_dir, self.started, self.say)
        select.select([offered.fd], [], [], _OFFERED_S)  # it ends when the file is there
        deadline.end(offered)
        self.say("agent.ended", None, reason="done")

    def meet(self, one: Rank, told: dict[str, Any]) -> None:
        """Say who a rank is, and find out how it can be reached."""
        raw = deadline.call(lambda: procfs.read(f"/proc/{one.pid}/environ") or b"", _READ_S)
        one.environ = procfs.parse_environ(raw or b"")
        one.socket = reach.control_socket(one.pid, one.environ)
        reach.find_signal(
            one,
            [path for pid in (one.pid, self.table.parents.get(one.pid, 0)) if (path := around.script(pid))],
        )
        self.say(
            "rank.found",
            one.rank,
            pid=one.pid,
            start_ticks=one.start_ticks,
            how=told["how"],
            world_size=one.world_size,
            local_rank=one.local_rank,
            job=self.job["job"],
            socket=one.socket,
            stack_signal=one.stack_signal,
        )
        self.say("process.described", one.rank, pid=one.pid, **around.describe(one.pid, self.table))

    def sample(self) -> None:
        """CPU, children and compile caches of every rank, as the agent samples them."""
        self.table.refresh()
        for one in self.ranks:
            self.sampler.update(one)
            if data := self.sampler.sample(one, 0.0):
                del data["silent_s"], data["num_steps"], data["phase"], data["phase_s"]  # the hook's own
                self.say("rank.sampled", one.rank, **data)

    def bring(self, one: Rank, time_dir: str) -> None:
        """Copy the recorder dump that the job itself has written; of this look only if nobody moved since."""
        taken = dumps.take(one, procfs.started_at(one.start_ticks))
        if taken is None:
            return
        still_s = [standing.describe(rank.pid).get("still_s") or 0.0 for rank in self.ranks]
        if taken.written < self.begun and time.time() - taken.written > min(still_s):
            time_dir = str(int(taken.written))
        name = f"flight/{time_dir}/rank-{one.rank:05d}.pickle"
        path = os.path.join(one.folder(self.given.run_dir), name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        atomic_write(path, taken.body)
        self.say("flight.dumped", one.rank, path=f"attempts/{one.attempt}/{name}", dir=time_dir, via="file")


def main(argv: list[str] | None = None) -> int:
    """Look once at the ranks of a job; reads the job (a line of `python -m probes.finding`) from stdin."""
    parser = argparse.ArgumentParser(prog="python -m probes.attach", description=main.__doc__)
    add = parser.add_argument
    add("--run-dir", required=True, metavar="DIR", help="the run directory to write into")
    add("--run", default="", metavar="ID", help="the run's id, for the events (default: DIR's name)")
    add("--attempt", default=ATTEMPT, metavar="A", help="the attempt (default 1)")
    add("--signal", action="store_true", help="allow what makes the job itself write something")
    add("--native", action="store_true", help="C++ frames, too: pauses each rank for a moment")
    add("--between", type=float, default=BETWEEN_S, metavar="S", help="between the two scans (default 3)")
    add("--stall-after", type=float, default=120.0, metavar="S", help="silence that counts as a stall (120)")
    given = parser.parse_args(argv)
    Attach(given, json.loads(sys.stdin.readline())).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

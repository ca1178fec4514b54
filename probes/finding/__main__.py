"""Print the training jobs of this host, one JSON object a line: `python -m probes.finding [PID...]`."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from probes import procfs
from probes.finding.frames import tell
from probes.finding.jobs import Job, jobs
from probes.finding.processes import Process, ancestors, table
from probes.redact import redact_argv

REMEDY = "run as their user or as root; in a container, with CAP_SYS_PTRACE"


def shown(job: Job) -> dict[str, Any]:
    """A job as plain data; of the environments nothing is shown."""
    first = job.ranks[0].process
    return {
        "job": job.name,
        "launcher": job.launcher,
        "world_size": job.world_size,
        "missing": job.missing,
        "skipped": [],
        "lone": first.pid if job.ranks[0].how == "lone" else 0,
        "argv": redact_argv(first.argv)[:200],
        "started": round(min(procfs.started_at(one.process.start_ticks) for one in job.ranks), 2),
        "ranks": [
            {
                "rank": one.rank,
                "pid": one.process.pid,
                "start_ticks": one.process.start_ticks,
                "how": one.how,
                "local_rank": one.process.number("LOCAL_RANK") if one.how == "environment" else None,
                "restart_count": one.process.number("TORCHELASTIC_RESTART_COUNT") or 0,
            }
            for one in job.ranks
        ],
    }


def asks(known: Mapping[int, Process]) -> list[int]:
    """Processes without RANK whose frames may tell more: Pythons with torch below another Python."""
    return [
        pid
        for pid, one in known.items()
        if one.is_seen
        and one.has_torch
        and (up := known.get(one.ppid))
        and up.is_python
        and not up.is_launcher
    ]


def belongs(pid: int, job: Job, known: Mapping[int, Process]) -> bool:
    """Is it a rank of this job, below one, or above all of them?"""
    above = [set(ancestors(one, known)) for one in job.pids]
    if all(pid in up for up in above):
        return True
    return pid in job.pids or bool(set(job.pids) & set(ancestors(pid, known)))


def main(argv: list[str] | None = None) -> int:
    """Find the ranks on this host by environment, parents, frames and threads. Touches nothing."""
    parser = argparse.ArgumentParser(prog="python -m probes.finding", description=main.__doc__)
    parser.add_argument("pid", type=int, nargs="*", help="only the jobs of these processes")
    given = parser.parse_args(argv)
    known = table()
    found = jobs(known, tell(asks(known)))
    firm = [job for job in found if job.ranks[0].how != "lone"]
    for pid in given.pid:
        if not any(belongs(pid, job, known) for job in found):
            is_refused = pid in known and not known[pid].is_seen
            print(json.dumps({"pid": pid, "refused": is_refused, "reason": why_none(pid, known)}))
    for job in found if given.pid else firm or found:
        if not given.pid or any(belongs(pid, job, known) for pid in given.pid):
            print(json.dumps(shown(job)))
    hidden = [one for one in known.values() if one.has_group and not one.is_seen]
    if hidden and not given.pid:
        pids = [one.pid for one in hidden]
        print(json.dumps({"hidden": pids, "reason": f"the kernel refuses a look into them: {REMEDY}"}))
    return 0


def why_none(pid: int, known: Mapping[int, Process]) -> str:
    """Why a process that was named is no rank of anything."""
    one = known.get(pid)
    if one is None:
        return "no such process"
    if not one.is_seen:
        return f"the kernel refuses a look into it (uid {one.uid}, we are {os.getuid()}): {REMEDY}"
    if not one.is_python and not one.has_torch:
        return f"not a Python process ({one.comm})"
    return "neither it nor a process below it has loaded torch or carries RANK"


if __name__ == "__main__":
    sys.exit(main())

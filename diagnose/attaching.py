"""A job that is already silent and was started without us: find it, look at it once, judge it."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from diagnose import children, follow, manifest, reader, runs
from diagnose.model import named
from diagnose.playbook import Playbook
from diagnose.render.rows import clock, count, safe
from diagnose.verdict import Run, Verdict

FIND_S, LOOK_S, NATIVE_S = 30.0, 25.0, 10.0
Job = dict[str, Any]  # a line of `python -m probes.finding`, in the shape of Found
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class Rank(msgspec.Struct, frozen=True):
    """One rank of a job, as the finder tells it."""

    rank: Count
    pid: Count
    start_ticks: Count
    how: str
    local_rank: Count | None
    restart_count: Count


class Found(msgspec.Struct, frozen=True):
    """A job, as the finder tells it."""

    job: str
    argv: str
    world_size: Count
    missing: list[Count]
    started: Annotated[float, msgspec.Meta(ge=0, lt=1e11)]
    ranks: Annotated[list[Rank], msgspec.Meta(min_length=1)]


class Hidden(msgspec.Struct, frozen=True):
    """Ranks that could not be looked into."""

    hidden: list[Count]
    reason: str


class Refused(msgspec.Struct, frozen=True):
    """Why a process that was named is in no job."""

    pid: Count
    refused: bool
    reason: str


class Choice(NamedTuple):
    """What was found: the jobs, which processes named are in none, and what could not be looked into."""

    jobs: list[Job]
    wrong: list[str]
    refused: list[str]


class Options(NamedTuple):
    """How to look."""

    may_signal: bool
    native: bool
    stall_after_s: float


def find(pids: Sequence[int]) -> Choice:
    """The jobs of these processes, or all on this host."""
    return chosen(*children.ask("finding", [str(pid) for pid in pids], b"", FIND_S))


def chosen(code: int | None, out: bytes, errors: str) -> Choice:
    """What the finder printed, by what it means. Raises msgspec.DecodeError where that is not its own.

    One that was cut short may have broken off in a line.
    """
    whole = out if code is not None else out[: out.rfind(b"\n") + 1]
    jobs, wrong, refused = list[Job](), list[str](), list[str]()
    for line in whole.splitlines():
        told = msgspec.json.decode(line, type=dict[str, Any])
        if "hidden" in told:
            hidden = msgspec.convert(told, Hidden)
            refused.append(f"{count(len(hidden.hidden), 'rank')}: {safe(hidden.reason)}")
        elif "reason" in told:
            one = msgspec.convert(told, Refused)
            (refused if one.refused else wrong).append(f"process {one.pid}: {safe(one.reason)}")
        elif "ranks" in told:
            found = msgspec.convert(told, Found)
            jobs.append({**told, "job": safe(found.job), "argv": safe(found.argv)})
    if code != 0:
        last = (errors.strip().splitlines() or ["no word"])[-1]
        how = "did not end: the host is too busy" if code is None else f"failed: {last}"
        refused.append(f"the search for ranks {how}")
    return Choice(jobs, wrong, refused)


def narrowed(job: Job, ranks: Sequence[int]) -> Job:
    """The job with only these ranks."""
    if not ranks:
        return job
    kept = [one for one in job["ranks"] if one["rank"] in ranks]
    missing = [rank for rank in job["missing"] if rank in ranks]
    known = {*job["missing"], *(one["rank"] for one in job["ranks"])}
    return {**job, "ranks": kept, "missing": missing, "skipped": sorted(known - set(ranks))}


def listed(jobs: Sequence[Job], now: float, command: str = "diagnose attach") -> list[str]:
    """A line for each job: the pid to name it by, its ranks, its age, what it runs."""
    return [
        f"{command} {job['ranks'][0]['pid']:<8} "
        f"{named([one['rank'] for one in job['ranks']])} of {job['world_size']}, "
        f"{clock(now - job['started'])} old, {job['job'] or job['argv']}"
        for job in jobs
    ]


def begin(root: Path, name: str | None, job: Job, now: float, **more: object) -> Path:
    """A run directory for the visit, `more` noted in its manifest. Raises OSError."""
    name = name or f"attach-{job['job'] or 'job'}".removesuffix(".py")
    run = runs.create(root, name, now)
    manifest.begin(
        run,
        id=run.name,
        name=name,
        command=job["argv"],
        node=socket.gethostname(),
        boot=follow.boot_id(),
        pid=os.getpid(),
        start_ticks=follow.start_ticks(os.getpid()),
        root=str(root),
        **more,
    )
    manifest.advance(run, "running")
    return run


def look(run: Path, job: Job, options: Options, complain: Callable[[str], None]) -> None:
    """Take the evidence, in a child that may hang; what it had written by then counts."""
    words = ["--run-dir", str(run), *arguments(options)]
    code, _, errors = children.ask("attach", words, msgspec.json.encode(job), limit_s(options))
    tell_end(code, (errors.strip().splitlines() or ["?"])[-1], limit_s(options), complain)


def arguments(options: Options) -> list[str]:
    """The same options for the probe."""
    words = ["--stall-after", str(options.stall_after_s)]
    return words + ["--signal"] * options.may_signal + ["--native"] * options.native


def limit_s(options: Options) -> float:
    """How long a look may take."""
    return LOOK_S + (NATIVE_S if options.native else 0)


def tell_end(code: object, last: str, after_s: float, complain: Callable[[str], None]) -> None:
    """Complain of a look that did not end by itself; what it had written by then counts."""
    if code is None:
        complain(f"the look was cut short after {after_s:.0f} s: something on this host does not answer")
    elif code:
        complain(f"the look broke off: {last}")


def judge(run: Path, book: Playbook, complain: Callable[[str], None]) -> Verdict:
    """The verdict on what was taken; written beside it."""
    verdict = reader.judge(run, str(run), book)
    try:
        manifest.advance(run, "ok", "looked at once; the job goes on")
        reader.write(run, verdict)
    except OSError as error:
        complain(f"verdict and record cannot be written: {error.strerror or error}")
    return verdict


def early(verdict: Verdict, options: Options) -> Iterator[str]:
    """Where a wait is younger than a stall and nobody is named: that a later look may tell more."""
    silent_s = verdict.run.silent_s
    if verdict.causes or not verdict.waits or silent_s is None or silent_s >= options.stall_after_s:
        return
    awaited = sorted({rank for wait in verdict.waits for rank in wait.awaited})
    who = f", and {named(awaited)} may yet come" if awaited else ""
    yield (
        f"silent for {clock(silent_s)} only, less than --stall-after {options.stall_after_s:g} s{who}: "
        "look again later, or give a smaller --stall-after"
    )


def nothing(reason: str) -> Verdict:
    """The answer where there is nobody to look at."""
    return Verdict(bundle=reason, symptom="unknown", run=Run(num_ranks=0))

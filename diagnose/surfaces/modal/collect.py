"""Brings a run on Modal here: what became of its call, its evidence, its state. May be broken off anywhere.

Each look asks what became of the call first and fetches what lies on the volume second: what was pushed
before the end is then here when the end is noted. Files that are here are not fetched again, states only go
forward, and two collectors take turns.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from diagnose import event_lines, follow, manifest
from diagnose.contract import Manifest
from diagnose.surfaces.modal import reporting, result
from diagnose.surfaces.modal.cloud_types import Remote
from diagnose.surfaces.modal.hearing import hear, hint
from diagnose.surfaces.modal.outcome import Outcome
from diagnose.surfaces.modal.push import DROPPED
from diagnose.surfaces.modal.seen import STEP, WRITERS, Attempt, attempts, is_each_ended, story
from diagnose.surfaces.modal.states import Step, following
from diagnose.values import string
from probes.files import atomic_write, remove_drafts

SETTLED_S = 60.0  # after which a container that was ended can push no more
DEPTH, NUM_FETCHERS = 6, 16
TAKEN_BACK = re.compile(r"flight/[0-9]{1,20}")
FILE_LIMIT, BIG = 512 << 20, 8 << 20  # what watches a job writes nothing of that size; big ones take turns


class NotModals(Exception):
    """The run is no run on Modal. The message is one line."""


class Look(NamedTuple):
    """What one look came to. `failed`: files that could not be fetched, each with why."""

    manifest: Manifest
    attempts: list[Attempt]
    num_fetched: int
    failed: list[str]
    notes: list[str]


def collect(run: Path, cloud: ModuleType, node: str) -> Look:
    """One look. Raises NotModals, Unreachable, OSError; another look goes on from wherever it was."""
    with manifest.turn(run):
        found = manifest.read(run)
        if found is None or found.surface != "modal":
            raise NotModals(f"{run}: no run on Modal")
        outcome = ask(found, cloud)
        num, failed = fetch(run, found, cloud)
        seen = attempts(words(run))
        call_id = found.function_call_id or next((one.call_id for one in seen if one.call_id), None)
        if call_id and not found.function_call_id:  # its launcher was killed before it could note it
            manifest.update(run, function_call_id=call_id, node="", boot="", pid=None)
            outcome = cloud.outcome(call_id)
            more, failed = fetch(run, found, cloud)
            num += more
        step = following(found.state, outcome, seen) if call_id else launcherless(found, node)
        ended = step is not None and step.state not in ("running", found.state)
        hints = (
            hint(run, cloud, str(call_id), seen, ended)
            if call_id and (ended or found.state == "detached")
            else []
        )
        heard = bool(call_id) and hear(run, cloud, str(call_id), outcome, found, seen, ended)
        if num or ended or heard:  # what was concluded before is no longer the last word
            for stale in ("record.json", "verdict.json"):
                (run / stale).unlink(missing_ok=True)
        may_come = any(one.cluster_id for one in seen) and not (is_each_ended(seen) and num == 0)
        note(run, found, outcome, step, not failed, may_come)
        return Look(manifest.read(run) or found, seen, num, failed, [*story(seen), *hints])


def ask(found: Manifest, cloud: ModuleType) -> Outcome:
    """What became of its call; what was learnt once is not asked again."""
    if found.state in manifest.FINAL or not found.function_call_id:
        return Outcome("running")
    answer: Outcome = cloud.outcome(found.function_call_id)
    return answer


def launcherless(found: Manifest, node: str) -> Step | None:
    """A run without a call: its launcher is at work, or was killed before Modal had it."""
    gone = follow.gone(found, node)
    return Step("lost", f"{gone}, and Modal had no call of it") if gone else None


def note(
    run: Path, found: Manifest, outcome: Outcome, step: Step | None, is_fetched: bool, may_come: bool
) -> None:
    """Write down what this look came to; the evidence of an end is here before the end is.

    `may_come`: other nodes of a cluster may push after the call has ended.
    """
    now = time.time()
    fields: dict[str, object] = {"last_polled_at": now}
    if step and step.state not in ("running", found.state):
        fields |= {"outcome": outcome.kind} if outcome.kind != "running" else {}
        if outcome.kind == "returned":
            names = {one.name for one in attempts(words(run))}
            fields["result"] = result.keep(run, reporting.apart(run, outcome.value, names))
    is_over = (step.state if step else found.state) in manifest.FINAL
    since = found.transitions[-1].time if found.state in manifest.FINAL and found.transitions else now
    is_told = "returned" in (outcome.kind, found.outcome) and not may_come
    is_all = is_told or now - since > SETTLED_S  # a container that is being ended may still push
    fields["is_whole"] = is_over and is_fetched and is_all
    if step is None or not manifest.advance(run, step.state, string(step.reason, 1000), **fields):
        manifest.update(run, **fields)


# The volume


def fetch(run: Path, found: Manifest, cloud: ModuleType) -> tuple[int, list[str]]:
    """Bring over what is new on the volume: (files fetched, what could not be fetched)."""
    if not found.volume or found.is_whole:
        return 0, []
    entries = cloud.files(found.volume, found.run)
    failed = [f"{string(one.path, 200)}: {why}" for one in entries if (why := unwanted(one))]
    ours = (one for one in entries if not unwanted(one))
    wanted = [one for one in ours if not is_here(run / one.path, one.size, one.mtime)]
    one_big = threading.Lock()
    remove_drafts(str(run / "attempts"))  # of a collector that was killed; it is our turn

    def bring(path: str, size: int, mtime: int) -> str:
        try:
            with one_big if size > BIG else nullcontext():
                data = cloud.read(found.volume, f"/{found.run}/{path}", FILE_LIMIT)
            (run / path).parent.mkdir(parents=True, exist_ok=True)
            atomic_write(run / path, data)
            os.utime(run / path, (mtime, mtime))
        except FileNotFoundError:
            return ""  # it was put anew, or taken back: the next look knows
        except Exception as error:
            return f"{path}: {error}"
        return ""

    with ThreadPoolExecutor(NUM_FETCHERS) as pool:
        failed += [why for why in pool.map(lambda one: bring(one.path, one.size, one.mtime), wanted) if why]
    take_back(run)
    return len(wanted), failed


def take_back(run: Path) -> None:
    """Dumps that the agent took back after they had been fetched."""
    for path in run.glob(f"attempts/*/{DROPPED}"):
        for name in (path.read_text(errors="replace") if path.is_file() else "").splitlines()[:100_000]:
            if TAKEN_BACK.fullmatch(name):
                shutil.rmtree(path.parent / name, ignore_errors=True)


def unwanted(one: Remote) -> str:
    """Why a file of the volume is left there; empty for one that is fetched."""
    if not is_ours(one.path):
        return "no path of ours"
    return f"{one.size} bytes are too many" if one.size > FILE_LIMIT else ""


def is_ours(path: str) -> bool:
    """Whether a file of the volume has a place in a run directory: nothing else is written."""
    parts = path.split("/")
    return parts[0] == "attempts" and 3 <= len(parts) <= DEPTH and all(map(STEP.fullmatch, parts))


def is_here(path: Path, size: int, mtime: int) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return False
    return stat.st_size == size and int(stat.st_mtime) >= mtime


def words(run: Path) -> Iterator[Mapping[str, object]]:
    """The event lines of the containers' own writers."""
    return event_lines.lines(run, WRITERS.match)

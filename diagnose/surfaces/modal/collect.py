"""Brings a run on Modal here: what became of its call, its evidence, its state. May be broken off anywhere.

Each look asks what became of the call first and fetches what lies on the volume second: what was pushed
before the end is then here when the end is noted. Files that are here are not fetched again, states only go
forward, and two collectors take turns.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import msgspec

from diagnose import follow, manifest
from diagnose.contract import Manifest
from diagnose.surfaces.modal import results, told
from diagnose.surfaces.modal.outcome import Outcome, Unreachable
from diagnose.surfaces.modal.push import DROPPED
from diagnose.surfaces.modal.seen import WRITERS, Attempt, attempts, is_each_ended, story
from diagnose.surfaces.modal.states import Step, following
from diagnose.values import plain, string
from probes.files import atomic_write

SETTLED_S = 60.0  # after which a container that was ended can push no more
STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
DEPTH, NUM_FETCHERS = 6, 16
TAKEN_BACK = re.compile(r"flight/[0-9]{1,20}")
RESULT_LIMIT = 256 << 10


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
        if num or ended:  # what was concluded before is no longer the last word
            for stale in ("record.json", "verdict.json"):
                (run / stale).unlink(missing_ok=True)
        if ended and call_id:
            end_words(run, cloud, call_id, outcome, found)
        may_come = any(one.cluster_id for one in seen) and not (is_each_ended(seen) and num == 0)
        note(run, found, outcome, step, not failed, may_come)
        return Look(manifest.read(run) or found, seen, num, failed, story(seen))


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
        fields["outcome"] = outcome.kind
        if outcome.kind == "returned":
            fields["result"] = bounded(told_apart(run, outcome.value))
    is_over = (step.state if step else found.state) in manifest.FINAL
    since = found.transitions[-1].time if found.state in manifest.FINAL and found.transitions else now
    is_told = "returned" in (outcome.kind, found.outcome) and not may_come
    is_all = is_told or now - since > SETTLED_S  # a container that is being ended may still push
    fields["is_whole"] = is_over and is_fetched and is_all
    if step is None or not manifest.advance(run, step.state, string(step.reason, 1000), **fields):
        manifest.update(run, **fields)


def told_apart(run: Path, value: object) -> object:
    """A call's result without a pre-flight's report, which goes where one by the volume would be."""
    if not isinstance(value, dict) or "preflight" not in value:
        return value
    attempt, report = str(value.get("attempt")), results.unpack(value["preflight"])
    path = run / "attempts" / attempt / "preflight.json"
    names = {one.name for one in attempts(words(run)) if STEP.fullmatch(one.name)}
    if report and attempt in names and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, report)
    return {key: part for key, part in value.items() if key != "preflight"}


def bounded(value: object) -> object:
    kept = plain(value)
    return kept if len(json.dumps(kept)) <= RESULT_LIMIT else {"left_out": "too large to be kept"}


def end_words(run: Path, cloud: ModuleType, call_id: str, outcome: Outcome, found: Manifest) -> None:
    """What only the platform knows of the end, while it still keeps it."""
    told.call_ended(run, outcome)
    with suppress(Unreachable):
        told.keep_logs(run, cloud.logs(call_id, began(found), datetime.now(UTC)))
    if outcome.kind != "returned":
        with suppress(Unreachable):
            manifest.update(run, call_graph=cloud.graph(call_id))


def began(found: Manifest) -> datetime:
    """When the run was begun here, less what two clocks may differ by."""
    first = found.transitions[0].time if found.transitions else time.time() - 86400
    return datetime.fromtimestamp(first - 60, UTC)


# The volume


def fetch(run: Path, found: Manifest, cloud: ModuleType) -> tuple[int, list[str]]:
    """Bring over what is new on the volume: (files fetched, what could not be fetched)."""
    if not found.volume or found.is_whole:
        return 0, []
    entries = cloud.files(found.volume, found.run)
    failed = [f"{string(one.path, 200)}: no path of ours" for one in entries if not is_ours(one.path)]
    wanted = [
        one for one in entries if is_ours(one.path) and not is_here(run / one.path, one.size, one.mtime)
    ]

    def bring(path: str, mtime: int) -> str:
        try:
            data = cloud.read(found.volume, f"/{found.run}/{path}")
            (run / path).parent.mkdir(parents=True, exist_ok=True)
            atomic_write(run / path, data)
            os.utime(run / path, (mtime, mtime))
        except FileNotFoundError:
            return ""  # it was put anew, or taken back: the next look knows
        except Exception as error:
            return f"{path}: {error}"
        return ""

    with ThreadPoolExecutor(NUM_FETCHERS) as pool:
        failed += [why for why in pool.map(lambda one: bring(one.path, one.mtime), wanted) if why]
    take_back(run)
    return len(wanted), failed


def take_back(run: Path) -> None:
    """Dumps that the agent took back after they had been fetched."""
    for path in run.glob(f"attempts/*/{DROPPED}"):
        for name in path.read_text(errors="replace").splitlines()[:100_000]:
            if TAKEN_BACK.fullmatch(name):
                shutil.rmtree(path.parent / name, ignore_errors=True)


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
    for path in sorted(run.glob("attempts/*/events/*.jsonl")):
        if WRITERS.match(path.name):
            with suppress(OSError):
                for text in path.read_bytes().splitlines():
                    with suppress(msgspec.DecodeError, UnicodeDecodeError):
                        line = msgspec.json.decode(text)
                        if isinstance(line, dict):
                            yield line

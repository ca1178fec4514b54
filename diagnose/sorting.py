"""A run sorted before anyone reads its output: by lane, stage, artefacts, cold start."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from diagnose import comparing, lanes, placing, record, runs
from diagnose.comparison import Difference
from diagnose.contract import Manifest, Phase, RunRecord
from diagnose.lanes import Stages
from diagnose.model import named
from diagnose.placing import Seen
from diagnose.verdict import Layer, Move, Part, Sorting, Verdict, read

ENDED = ("ok", "error")


def sort(run: Path, found: Manifest, done: RunRecord | None, verdict: Verdict) -> Sorting:
    """What `diagnose show` says first. Raises PlaybookError."""
    done = done or RunRecord(run=found.run, exit_path="unknown", lane=found.lane, surface=found.surface)
    lane, told = lanes.lane(done.lane), lanes.stages()
    missing = lanes.lacks(done, lane)
    layers = list(of_layers(run, found, done, missing))
    good = last_good(run, found, done)
    changed = differing(good, done) if good else []
    has_drifted = not verdict.causes and any(one.is_drift for one in changed)
    stage = of_stage(found, done, layers, bool(missing), has_drifted)
    chosen = told.stage[stage] if stage else None
    return Sorting(
        lane=done.lane,
        lane_title=lane.title,
        stage=stage,
        stage_title=chosen.title if chosen else "",
        looks=chosen.looks if chosen else "",
        open=chosen.open if chosen else "",
        fix=chosen.fix if chosen else "",
        cut=chosen.cut if chosen else "",
        layers=layers,
        is_receipt=None if found.state not in (*ENDED, "lost") else not missing,
        missing=missing,
        thin=lanes.thin(done, lane),
        contaminated=done.steps.contaminated,
        start=list(parts(done.start, good.start if good else [], told)),
        good_run=good.run if good else "",
        changed=[one.path for one in changed],
        again=[burst for burst in done.compile.bursts if burst.step],
    )


def of_layers(run: Path, found: Manifest, done: RunRecord, missing: list[str]) -> Iterator[Layer]:
    is_over = found.state in ENDED
    yield Layer("manifest", "holds" if is_over else "breaks", "" if is_over else f"it says {found.state}")
    writers = {path.name.rpartition("-")[0] for path in run.glob("attempts/*/events/*.jsonl")}
    silent = [one.rank for one in done.ranks if f"rank-{one.rank:05d}" not in writers]
    why = f"{named(silent)} left none" if silent else ""
    why = why or ("there are none" if not writers else "no rank left any" if not done.ranks else "")
    yield Layer("events", "breaks" if why else "holds", why)
    has_logs = any(map(is_filled, run.glob("attempts/*/logs/*")))
    yield Layer("logs", "holds" if has_logs else "breaks", "" if has_logs else "nothing printed is there")
    is_there = (run / "record.json").is_file()
    why = "; ".join(missing) if is_there else "there is none"
    yield Layer("record", "breaks" if why else "holds", why)
    is_there = (run / "verdict.json").is_file()
    yield Layer("verdict", "holds" if is_there else "breaks", "" if is_there else "there is none")


def is_filled(path: Path) -> bool:
    """Whether it is a file with something in it; the draft of one may be gone by now.

    >>> is_filled(Path("/no/such"))
    False
    """
    with suppress(OSError):
        return path.is_file() and path.stat().st_size > 0
    return False


def of_stage(found: Manifest, done: RunRecord, layers: list[Layer], is_short: bool, has_drifted: bool) -> str:
    """The stage to look at; empty where none breaks the contract, or the run still goes well."""
    has_begun = done.started is not None and bool(done.ranks or done.exit_code is not None)
    if found.state in ("launching", "detached"):
        return "launch"
    if found.state == "lost":
        return "collector" if has_begun or found.surface == "local" else "launch"
    if found.state == "running":
        return "collector" if found.outcome else ""
    if found.state == "error":
        if has_drifted:
            return "drift"
        has_worked = bool(done.steps.num) or bool(done.distributed.backends) or bool(done.compile.bursts)
        return "execution" if has_worked else "image"
    broken = {layer.layer for layer in layers if layer.state == "breaks"}
    if broken & {"events", "logs", "verdict"}:
        return "persistence"
    return "record" if is_short else ""


def last_good(run: Path, found: Manifest, done: RunRecord) -> RunRecord | None:
    """The record of the newest earlier run of this name and lane that ended well, under the same root."""
    begun = runs.started(found) or 0.0
    for path, other in runs.listed(run.resolve().parent):
        if other.state != "ok" or other.name != found.name or (runs.started(other) or 0.0) >= begun:
            continue
        kept = record.read(path)
        is_good = kept is not None and kept.end_marker and path.name != run.name
        if kept and is_good and kept.lane == done.lane and comparing.same_kind(kept, done):
            return kept
    return None


def moved(run: Path, found: Manifest, done: RunRecord, verdict: Verdict) -> Move | None:
    """Whether the lane should run elsewhere, by its own newest runs. Raises PlaybookError."""
    book = placing.load()
    seen = of_lane(run, found, done, verdict, book.signs.preempted)
    return placing.move(list(islice(seen, book.signs.num_runs)), book)


def of_lane(
    run: Path, found: Manifest, done: RunRecord, verdict: Verdict, preempted: Collection[str]
) -> Iterator[Seen]:
    """This run and those before it of its name, lane and surface, the newest first."""

    def is_preempted(told: Verdict | None) -> bool:
        return told is not None and any(cause.failure in preempted for cause in told.causes)

    yield Seen(done, is_preempted(verdict))
    begun = runs.started(found) or 0.0
    for path, other in runs.listed(run.resolve().parent):
        is_like = other.name == found.name and other.surface == found.surface
        kept = record.read(path) if is_like and (runs.started(other) or 0.0) < begun else None
        if kept and kept.lane == done.lane and kept.run != done.run:
            yield Seen(kept, is_preempted(read(path)))


def differing(good: RunRecord, done: RunRecord) -> list[Difference]:
    """What `diagnose compare` would list first of the two. Raises PlaybookError."""
    return [one for one in comparing.provenance(good, done, comparing.load())[0] if not one.minor]


def parts(start: list[Phase], good: list[Phase], told: Stages) -> Iterator[Part]:
    before = {phase.phase: phase.seconds for phase in good}
    for phase in start:
        title = told.phase[phase.phase].title if phase.phase in told.phase else phase.phase
        yield Part(phase.phase, title, phase.seconds, phase.least_s, phase.rank, before.get(phase.phase))

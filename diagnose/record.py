"""The run record, from event lines alone: any reader can build it when the writer was killed."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from diagnose import coldstart, reduction, shaping
from diagnose.clusters import FIRST, Clusters
from diagnose.contract import Attempt, Change, Git, Manifest, RankRecord, Reduced, RunRecord, Volume
from diagnose.coverage import age
from diagnose.event_lines import Line, by_kind, by_rank, first, moment, strings, text
from diagnose.model import integer, number
from probes.files import atomic_write, contents

LARGEST = 64 << 20  # bytes of a record; ours have some thousands


def build(found: Manifest, events: Iterable[Line]) -> RunRecord:
    """What one run was and how it ended. Pure."""
    kinds = by_kind(events)
    start, end = first(kinds["command.started"]), first(kinds["command.ended"])
    described, asked = first(kinds["command.described"]), first(kinds["container.started"])
    attempts = by_attempt(kinds)
    told = by_rank(kinds)
    ranks = [of_rank(rank, kinds, told[rank]) for rank in sorted({r for rs in attempts.values() for r in rs})]
    mine = {rank.rank: last_attempt(told[rank.rank]) for rank in ranks}
    variables, notes = strings(described.get("variables")), noted(mine)
    return RunRecord(
        run=found.run,
        name=found.name,
        command=found.command,
        exit_path=exit_path(found, kinds, end),
        started=number(start.get("time")) or (found.transitions[0].time if found.transitions else None),
        ended=moment(end, start) or last_word(found, kinds),
        exit_code=integer(end.get("exit_code")),
        signal=integer(end.get("signal")),
        attempts=[Attempt(attempt=name, ranks=sorted(ranks)) for name, ranks in attempts.items()],
        ranks=ranks,
        lane=text(notes.get("lane")) or text(described.get("lane")) or found.lane,
        surface=found.surface,
        app_id=found.app_id,
        function_call_id=found.function_call_id or text(asked.get("function_call_id")) or None,
        arguments=[text(w) for w in words] if isinstance(words := described.get("words"), list) else [],
        variables=variables,
        rank_variables=shaping.rank_variables(mine, variables),
        host=host(described.get("host")),
        folder=text(described.get("folder")),
        packages=shaping.packages(mine),
        installed=installed(first(kinds["packages.read"]).get("packages")),
        image=text(asked.get("image_id")) or text(described.get("image")),
        git=git(kinds["checkout.read"]),
        gpus=shaping.gpus(mine, text(asked.get("gpu")), variables.get("CUDA_VISIBLE_DEVICES", "")),
        distributed=shaping.distributed(mine),
        compile=shaping.compiled(mine, kinds, start),
        steps=shaping.steps(mine),
        start=coldstart.phases(found, kinds, mine),
        notes=notes,
        environment=[change(line) for line in kinds["environment.changed"]],
        versions=versions(start, kinds),
        volumes=volumes(kinds["volumes.read"]),
        num_stalls=len(kinds["job.stalled"]),
        end_marker=bool(end),
        caveats=caveats(kinds, end),
        reduced=reduced(first(kinds["reduced.ended"])),
    )


def exit_path(found: Manifest, kinds: Mapping[str, list[Line]], end: Line) -> str:
    if not end:
        return "lost" if found.state == "lost" else "unknown"
    if kinds.get("command.stopped"):
        return "stopped"
    if kinds.get("signal.received"):
        return "interrupted"
    if end.get("signal") is not None:
        return "signal"
    return "exception" if end.get("exit_code") and kinds.get("exception.raised") else "exit"


def last_word(found: Manifest, kinds: Mapping[str, list[Line]]) -> float | None:
    """When a run whose end nobody wrote down was last heard of."""
    if found.state not in {"lost", "ok", "error"}:
        return None
    times = [t for group in kinds.values() for line in group if (t := number(line.get("time")))]
    return max(times, default=None)


def by_attempt(kinds: Mapping[str, list[Line]]) -> dict[str, set[int]]:
    """attempt -> its ranks; a provisional rank counts only where no real one was claimed."""
    ranks: dict[str, set[int]] = {}
    known = Clusters()
    first = [line for kind in FIRST for line in kinds.get(kind, [])]
    for line in sorted(first, key=lambda line: number(line.get("time")) or 0.0):
        known.feed(text(line.get("attempt")), line)
    for firm in (True, False):
        for line in [*kinds.get("rank.claimed", []), *kinds.get("rank.found", [])]:
            rank, attempt = integer(line.get("rank")), known.attempt(text(line.get("attempt")))
            is_open = firm or attempt not in ranks
            if rank is not None and is_open and bool(line.get("provisional")) != firm:
                ranks.setdefault(attempt, set()).add(rank)
    return dict(sorted(ranks.items(), key=lambda pair: age(pair[0])))


def last_attempt(mine: Mapping[str, list[Line]]) -> dict[str, list[Line]]:
    """The lines of a rank's last attempt."""
    claims = mine.get("rank.claimed") or mine.get("rank.found") or [{}]
    name = claims[-1].get("attempt")
    return {kind: [e for e in group if e.get("attempt") == name] for kind, group in mine.items()}


def of_rank(rank: int, kinds: Mapping[str, list[Line]], mine: Mapping[str, list[Line]]) -> RankRecord:
    last = (mine.get("rank.claimed") or mine.get("rank.found") or [{}])[-1]
    of_last = last_attempt(mine)

    def told(kind: str) -> list[Line]:
        return of_last.get(kind, [])

    compiles = [e for e in told("phase.ended") if "compile" in text(e.get("phase"))]
    starts = kinds.get("command.started", [])
    is_command = any(integer(e.get("pid")) == integer(last.get("pid")) is not None for e in starts)
    died = (told("rank.died") or (is_command and kinds.get("command.ended")) or [{}])[-1]
    counted = [*told("rank.sampled"), *told("rank.died"), *told("steps.timed")]
    steps = [n for e in counted if (n := integer(e.get("num_steps"))) is not None]
    forward_s, by = coldstart.first_forward(of_last)
    left = (told("rank.described") or [{}])[-1]
    return RankRecord(
        rank=rank,
        pid=integer(last.get("pid")),
        node=text(last.get("node")),
        first_step_s=next((number(e.get("seconds")) for e in told("step.first_completed")), None),
        first_forward_s=forward_s,
        first_forward_by=by,
        num_steps=max(steps, default=None),
        step_median_s=number((told("steps.timed") or [{}])[-1].get("median_s")),
        peak_rss=integer(left.get("peak_rss")),
        peak_allocated=integer(left.get("peak_allocated")),
        peak_reserved=integer(left.get("peak_reserved")),
        compile_s=round(sum(number(e.get("seconds")) or 0.0 for e in compiles), 3) if compiles else None,
        num_compiles=len(compiles) or None,
        exit_code=integer(died.get("exit_code")),
        signal=integer(died.get("signal")),
    )


def noted(mine: Mapping[int, Mapping[str, list[Line]]]) -> dict[str, str | int | float | bool | None]:
    """What the program said of itself: a later word counts, and the first rank's before the others'."""
    notes: dict[str, str | int | float | bool | None] = {}
    for rank in sorted(mine, reverse=True):
        for line in mine[rank].get("run.noted", []):
            given = line.get("notes")
            for key, value in given.items() if isinstance(given, dict) else ():
                if value is None or isinstance(value, str | int | float | bool):
                    notes[str(key)] = value
    return notes


def installed(told: object) -> dict[str, str]:
    """
    >>> installed(["numpy 2.0.1", "own 0.1 editable abc", 3])
    {'numpy': '2.0.1', 'own': '0.1 editable abc'}
    """
    rows = [text(one).partition(" ") for one in told] if isinstance(told, list) else []
    return {name: version for name, _, version in rows if name}


def host(told: object) -> dict[str, str | int | float]:
    """What is a word or a finite number of it."""
    rows = told.items() if isinstance(told, dict) else ()
    return {str(k): v for k, v in rows if isinstance(v, str) or number(v) is not None}


def git(lines: Iterable[Line]) -> Git:
    """As one tells that saw a commit: of code that was sent elsewhere the sender."""
    told = list(lines)
    line = next((one for one in told if one.get("commit")), first(told))
    dirty = line.get("dirty")
    return Git(
        commit=text(line.get("commit")),
        branch=text(line.get("branch")),
        dirty=dirty if isinstance(dirty, bool) else None,
        num_changed=integer(line.get("num_changed")),
        digest=text(line.get("digest")),
        reason=text(line.get("reason")),
    )


def reduced(line: Line) -> Reduced | None:
    if not line:
        return None
    answer, why = reduction.answer(line)
    return Reduced(
        run=text(line.get("reduced_run")),
        command=text(line.get("command")),
        symptom=text(line.get("symptom")),
        exit_code=integer(line.get("exit_code")),
        num_ranks=integer(line.get("num_ranks")),
        answer=answer,
        why=why,
    )


def change(line: Line) -> Change:
    value, before = line.get("value"), line.get("before")
    return Change(
        name=text(line.get("name")),
        action=text(line.get("action")),
        why=text(line.get("why")),
        value=value if isinstance(value, str) else None,
        before=before if isinstance(before, str) else None,
    )


def volumes(events: Iterable[Line]) -> list[Volume]:
    """Which mount held what, over all ranks; the last word on a mount counts."""
    found: dict[str, Volume] = {}
    for line in events:
        rows = line.get("volumes")
        for row in rows if isinstance(rows, list) else ():
            holds = row.get("holds") if isinstance(row, dict) else None
            if isinstance(holds, dict) and (point := text(row.get("point"))):
                paths = {str(k): text(v.get("path")) for k, v in holds.items() if isinstance(v, dict)}
                held = {**found[point].holds, **paths} if point in found else paths
                kind, name = text(row.get("filesystem")), text(row.get("volume"))
                found[point] = Volume(point, kind, name, row.get("remote") is True, held)
    return list(found.values())


def versions(start: Line, kinds: Mapping[str, list[Line]]) -> dict[str, str]:
    """What ran: ours from the parent, the job's from its ranks."""
    given = start.get("versions")
    ours = {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}
    told = (
        ("command.described", ("driver",)),
        ("rank.claimed", ("python",)),
        ("torch.imported", ("torch", "cuda")),
        ("rank.described", ("nccl",)),
    )
    for kind, keys in told:
        for line in kinds.get(kind, []):
            ours |= {key: text(line.get(key)) for key in keys if text(line.get(key))}
            ours |= {k: v for k, v in strings(line.get("packages")).items() if k == "triton" and v}
    return ours


def caveats(kinds: Mapping[str, list[Line]], end: Line) -> list[str]:
    """What keeps this record from being the whole story."""
    notes = [] if end else ["the end of the command was not seen"]
    notes += [f"{text(e.get('who'))} was started again" for e in kinds.get("helper.restarted", [])]
    notes += [f"{text(e.get('log'))} was cut" for e in kinds.get("log.truncated", [])]
    notes += (
        ["no rank said anything of itself"]
        if kinds.get("rank.found") and not kinds.get("rank.claimed")
        else []
    )
    notes += ["in part of the hook an error occurred"] if kinds.get("hook.failed") else []
    return list(dict.fromkeys(notes))


def save(run: Path, record: RunRecord) -> None:
    """Write `record.json`. Raises OSError."""
    plain = msgspec.to_builtins(record)
    body = msgspec.json.encode({"schema": plain.pop("schema"), **plain})
    atomic_write(run / "record.json", msgspec.json.format(body, indent=1) + b"\n")


def read(run: Path) -> RunRecord | None:
    """The record as it lies there; None where there is none."""
    return of_file(run / "record.json")


def of_file(path: Path) -> RunRecord | None:
    """The record in a file; None where none can be read."""
    try:
        return msgspec.json.decode(contents(path, LARGEST), type=RunRecord)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None

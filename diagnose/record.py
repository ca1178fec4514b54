"""The run record, from event lines alone: any reader can build it when the writer was killed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from diagnose.clusters import FIRST, Clusters
from diagnose.contract import Attempt, Change, Manifest, RankRecord, RunRecord, Volume
from diagnose.coverage import age
from probes.files import atomic_write

Line = dict[str, object]


def lines(run: Path) -> Iterator[Line]:
    """Every event line of a run directory, in the order of the files; what is torn is passed over."""
    decode = msgspec.json.Decoder().decode
    for path in sorted(run.glob("attempts/*/events/*.jsonl")):
        try:
            data = path.read_bytes()
        except OSError:
            continue
        for text in data.splitlines():
            try:
                line = decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if isinstance(line, dict) and isinstance(line.get("event"), str):
                yield line


def integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def moment(line: Line, first: Line) -> float | None:
    """When a line was written, by the clock of `first`: the wall clock may have been set in between."""
    told, begun = number(line.get("time")), number(first.get("time"))
    monos = number(line.get("mono")), number(first.get("mono"))
    if told is None or begun is None or monos[0] is None or monos[1] is None:
        return told
    even = begun + monos[0] - monos[1]
    return even if abs(even - told) > 1 else told


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def build(found: Manifest, events: Iterable[Line]) -> RunRecord:
    """What one run was and how it ended. Pure."""
    kinds: dict[str, list[Line]] = defaultdict(list)
    for line in events:
        kinds[text(line["event"])].append(line)
    start = next(iter(kinds["command.started"]), {})
    end = next(iter(kinds["command.ended"]), {})
    attempts = by_attempt(kinds)
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
        ranks=[of_rank(rank, kinds) for rank in sorted({r for ranks in attempts.values() for r in ranks})],
        environment=[change(line) for line in kinds["environment.changed"]],
        versions=versions(start, kinds),
        volumes=volumes(kinds["volumes.read"]),
        num_stalls=len(kinds["job.stalled"]),
        end_marker=bool(end),
        caveats=caveats(kinds, end),
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


def of_rank(rank: int, kinds: Mapping[str, list[Line]]) -> RankRecord:
    mine = {kind: [e for e in group if e.get("rank") == rank] for kind, group in kinds.items()}
    claims = mine.get("rank.claimed") or mine.get("rank.found") or [{}]
    last = claims[-1]

    def of_last(kind: str) -> list[Line]:
        return [e for e in mine.get(kind, []) if e.get("attempt") == last.get("attempt")]

    compiles = [e for e in of_last("phase.ended") if "compile" in text(e.get("phase"))]
    starts = kinds.get("command.started", [])
    is_command = any(integer(e.get("pid")) == integer(last.get("pid")) is not None for e in starts)
    died = (of_last("rank.died") or (is_command and kinds.get("command.ended")) or [{}])[-1]
    told = [*of_last("rank.sampled"), *of_last("rank.died")]
    steps = [n for e in told if (n := integer(e.get("num_steps"))) is not None]
    return RankRecord(
        rank=rank,
        pid=integer(last.get("pid")),
        node=text(last.get("node")),
        first_step_s=next((number(e.get("seconds")) for e in of_last("step.first_completed")), None),
        num_steps=max(steps, default=None),
        compile_s=round(sum(number(e.get("seconds")) or 0.0 for e in compiles), 3) if compiles else None,
        num_compiles=len(compiles) or None,
        exit_code=integer(died.get("exit_code")),
        signal=integer(died.get("signal")),
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
    for kind, keys in (("rank.claimed", ("python",)), ("torch.imported", ("torch", "cuda"))):
        for line in kinds.get(kind, []):
            ours |= {key: text(line.get(key)) for key in keys if text(line.get(key))}
    return ours


def caveats(kinds: Mapping[str, list[Line]], end: Line) -> list[str]:
    """What keeps this record from being the whole story."""
    notes = [] if end else ["the end of the command was not seen"]
    notes += [f"{text(e.get('who'))} was started again" for e in kinds.get("helper.restarted", [])]
    notes += [f"{text(e.get('log'))} was cut" for e in kinds.get("log.truncated", [])]
    notes += ["in part of the hook an error occurred"] if kinds.get("hook.failed") else []
    return list(dict.fromkeys(notes))


def save(run: Path, record: RunRecord) -> None:
    """Write `record.json`. Raises OSError."""
    plain = msgspec.to_builtins(record)
    body = msgspec.json.encode({"schema": plain.pop("schema"), **plain})
    atomic_write(run / "record.json", msgspec.json.format(body, indent=1) + b"\n")


def read(run: Path) -> RunRecord | None:
    """The record as it lies there; None where there is none."""
    try:
        return msgspec.json.decode((run / "record.json").read_bytes(), type=RunRecord)
    except (OSError, msgspec.DecodeError):
        return None

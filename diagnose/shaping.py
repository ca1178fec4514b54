"""Parts of the run record that rest on what each rank said: how it is distributed, compiled, timed. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from diagnose.contract import Burst, CacheSize, Compile, Distributed, Gpu, Gpus, Steps
from diagnose.differing import NOT_SET
from diagnose.event_lines import Kinds, Line, moment, strings, text
from diagnose.model import integer, number
from probes.settings import LONGEST, OF_RANKS

Ranks = Mapping[int, Kinds]  # each rank's lines of its last attempt

ORDER = ("ddp", "fsdp", "fsdp2", "tensor_parallel", "pipeline")
FRAMEWORKS = ("deepspeed", "megatron")  # they share the model themselves
# Between compiles of one burst the forward pass runs on.
PAUSE_S = 5.0


def said(mine: Ranks, kind: str) -> Iterable[tuple[int, Line]]:
    return ((rank, line) for rank, kinds in mine.items() for line in kinds.get(kind, ()))


def packages(mine: Ranks) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, line in said(mine, "rank.described"):
        found |= strings(line.get("packages"))
    return dict(sorted(found.items()))


def rank_variables(mine: Ranks, given: Mapping[str, str]) -> dict[str, str] | None:
    """What ranks have otherwise than the command got it, as scripts, launchers or the program set it.

    None where no rank tells; where ranks differ, each value.
    """
    last = [
        kinds["rank.described"][-1].get("variables") for kinds in mine.values() if kinds.get("rank.described")
    ]
    told = [strings(one) for one in last if isinstance(one, dict)]
    if not told:
        return None
    found: dict[str, str] = {}
    for name in sorted({*given, *(name for one in told for name in one)} - OF_RANKS):
        values = sorted({one.get(name, NOT_SET) for one in told})
        if values != [given.get(name, NOT_SET)]:
            found[name] = " | ".join(values)[:LONGEST]
    return found


def gpus(mine: Ranks, requested: str, visible: str) -> Gpus:
    """A GPU under several ranks is one; one that tells no UUID is its rank's own."""
    seen: dict[str, Gpu] = {}
    most = None
    for rank, line in said(mine, "rank.described"):
        told = line.get("gpu")
        if not isinstance(told, dict) or not text(told.get("name")):
            continue
        uuid = text(told.get("uuid"))
        before = seen.get(uuid or f"rank {rank}")
        ranks = sorted({rank, *(before.ranks if before else ())})
        seen[uuid or f"rank {rank}"] = Gpu(text(told["name"]), integer(told.get("memory")), uuid, ranks)
        most = max(most or 0, integer(told.get("num_visible")) or 0)
    return Gpus(requested=requested, visible=visible, seen=list(seen.values()), num_visible=most)


def distributed(mine: Ranks) -> Distributed:
    wrappers = list(dict.fromkeys(text(e.get("wrapper")) for _, e in said(mine, "model.wrapped")))
    groups = [line for _, line in said(mine, "group.created")]
    sizes = [n for _, e in said(mine, "rank.claimed") if (n := integer(e.get("world_size"))) is not None]
    nodes = Counter(
        text(kinds["rank.claimed"][-1].get("node")) for kinds in mine.values() if kinds.get("rank.claimed")
    )
    world = max([*sizes, *(len(r) for e in groups if isinstance(r := e.get("ranks"), list))], default=None)
    purposes = sorted({text(e.get("desc")) for e in groups} - {"", "default_pg", "undefined"})
    return Distributed(
        mode=mode(wrappers, packages(mine), world),
        wrappers=wrappers,
        backends=sorted({text(e.get("backend")) for e in groups} - {""}),
        groups=purposes,
        world_size=world,
        local_size=max(nodes.values(), default=None),
    )


def mode(wrappers: list[str], loaded: Mapping[str, str], world: int | None) -> str:
    """
    >>> mode(["tensor_parallel", "ddp"], {}, 8), mode([], {}, 1), mode([], {}, 2)
    ('ddp+tensor_parallel', 'single', 'own')
    """
    parts = [name for name in ORDER if name in wrappers] or [name for name in FRAMEWORKS if name in loaded]
    if parts and world != 1:
        return "+".join(parts)
    return "" if world is None else "single" if world == 1 else "own"


def compiled(mine: Ranks, kinds: Kinds, start: Line) -> Compile:
    begun = [(r, e) for r, e in said(mine, "phase.started") if text(e.get("phase")) == "compile"]
    regional = {told for _, e in begun if isinstance(told := e.get("regional"), bool)}
    done = any(True for _ in said(mine, "step.first_completed"))
    posture = {frozenset([True]): "regional", frozenset([False]): "whole", frozenset([True, False]): "mixed"}
    sizes = cache_sizes(mine, kinds)
    counters: dict[str, int] = {}
    for _, line in said(mine, "rank.described"):
        told = line.get("compiler")
        for key, value in told.items() if isinstance(told, dict) else ():
            counters[str(key)] = max(counters.get(str(key), 0), integer(value) or 0)
    seeds = [text(e.get("source_path")) for e in kinds.get("cache.seeded", [])]
    return Compile(
        posture=posture.get(frozenset(regional), "eager" if done and not begun else ""),
        cache_start=sizes[0] if sizes else None,
        cache_end=sizes[-1] if sizes else None,
        seeded_from=next(filter(None, seeds), ""),
        counters=counters,
        bursts=bursts(mine, start),
    )


def cache_sizes(mine: Ranks, kinds: Kinds) -> list[CacheSize]:
    """As the parent measured them; else, of all ranks, what the samples say, in the order of time."""
    lines = [e for e in kinds.get("cache.read", []) if text(e.get("moment"))]
    if lines:
        moments = dict.fromkeys(text(e.get("moment")) for e in lines)
        return [total([e for e in lines if e.get("moment") == m], "num_files", "num_bytes") for m in moments]
    ends: dict[int, list[Line]] = {}
    for rank, line in said(mine, "rank.sampled"):
        if integer(line.get("cache_files")) is not None:
            ends.setdefault(rank, []).append(line)
    pairs = [(rows[0], rows[-1]) for rows in ends.values()]
    keys = ("cache_files", "cache_bytes")  # ranks often share a cache: the largest is the size
    return [
        max((total([row], *keys) for row in side), key=lambda size: size.files)
        for side in zip(*pairs, strict=True)
    ]


def total(rows: list[Line], files: str, size: str) -> CacheSize:
    return CacheSize(*(sum(integer(row.get(key)) or 0 for row in rows) for key in (files, size)))


def bursts(mine: Ranks, start: Line) -> list[Burst]:
    """Compiles of all ranks, those in one that follow each other soon."""
    spans = []
    for rank, line in said(mine, "phase.ended"):
        seconds, kind = number(line.get("seconds")), text(line.get("phase"))
        end = moment(line, start)
        if seconds is not None and end is not None and line.get("by") != "program" and is_compile(kind):
            spans.append((end - seconds, end, rank, kind))
    steps = {
        (rank, text(e.get("phase")), integer(e.get("num"))): integer(e.get("step"))
        for rank, e in said(mine, "phase.started")
    }
    numbers = Counter[tuple[int, str]]()
    found: list[list[tuple[float, float, int, str, int | None]]] = []
    for begun, end, rank, kind in sorted(spans):
        numbers[rank, kind] += 1
        row = (begun, end, rank, kind, steps.get((rank, kind, numbers[rank, kind])))
        if found and begun <= max(one[1] for one in found[-1][-64:]) + PAUSE_S:
            found[-1].append(row)
        else:
            found.append([row])
    origin = number(start.get("time"))
    return [
        Burst(
            seconds=round(max(row[1] for row in rows) - rows[0][0], 3),
            since=None if origin is None else round(rows[0][0] - origin, 3),
            step=min((row[4] for row in rows if row[4] is not None), default=None),
            ranks=sorted({row[2] for row in rows}),
            kinds=sorted({row[3] for row in rows}),
            num=len(rows),
        )
        for rows in found[:50]
    ]


def is_compile(phase: str) -> bool:
    return phase in {"compile", "backward_compile", "cudagraph"}


def steps(mine: Ranks) -> Steps:
    """Of the first rank that tells; as many as all have done."""
    rows = {
        rank: kinds["steps.timed"][-1] for rank, kinds in sorted(mine.items()) if kinds.get("steps.timed")
    }
    counted = {
        rank: max(
            (
                n
                for kind in ("rank.sampled", "rank.died", "steps.timed")
                for e in kinds.get(kind, ())
                if (n := integer(e.get("num_steps"))) is not None
            ),
            default=0,
        )
        for rank, kinds in mine.items()
    }
    for rank, kinds in mine.items():
        if kinds.get("step.first_completed"):
            counted[rank] = max(counted[rank], 1)
    num = min(counted.values(), default=None)
    told = next(iter(rows.values()), {})
    first = told.get("first_s")
    return Steps(
        num=num,
        contaminated=[0] if num else [],
        first_s=[s for one in first if (s := number(one)) is not None] if isinstance(first, list) else [],
        median_s=number(told.get("median_s")),
        p10_s=number(told.get("p10_s")),
        p90_s=number(told.get("p90_s")),
        max_s=number(told.get("max_s")),
    )

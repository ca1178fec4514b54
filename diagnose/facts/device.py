"""What a device refused its rank: memory, and an access or an assertion in a kernel.

The allocator's own numbers tell why there was no room: what it holds and cannot use, what others hold.
A kernel's fault is reported by whatever call comes next, often by NCCL's watchdog: that is the messenger.
"""

from collections.abc import Iterable, Mapping, Sequence

from diagnose.endings import alone
from diagnose.gpu_words import all_told, beside, pids, rank_of
from diagnose.lines import cuda_access, cuda_memory
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind, named
from diagnose.tellings import Telling, by_rank, since, told

NEEDS = ("rank_log", "launcher_log", "rank_hook", "elastic_error", "kernel_log")
KINDS = {
    "device.out_of_memory": FactKind(
        "a device had no room; data: how (exhausted, fragmented, workspace, burst), tried, free, total", NEEDS
    ),
    "device.access_faulted": FactKind(
        "a kernel's bad access, or a failed assertion in it; data: how (access, assert), text", NEEDS
    ),
}
OTHERS_SHARE = 0.25  # of a device in the hands of other processes is no small context any more
BURSTS = ("/optim/", "optimizer", "kv_cache", "cache_engine")  # what allocates late, and much at once
WORDS = {
    "exhausted": "ran out of device memory",
    "fragmented": "found no piece of device memory large enough, though it holds enough of them",
    "workspace": "had no device memory left for a library's buffers",
    "burst": "ran out of device memory in a burst, or beside others on the device",
}


def derive(evidence: Evidence) -> Iterable[Fact]:
    if ended_well(evidence):
        return
    traces = {e.where: e for e in evidence.of("exception.raised")}
    for rank, mine in by_rank(told(evidence, cuda_memory.EVENTS, cuda_memory.LINES)).items():
        yield memory(alone(evidence) if rank is None else rank, mine, traces)
    faults = told(evidence, cuda_access.EVENTS, cuda_access.LINES)
    if any(evidence.of("deepep.timed_out")):  # its own trap ends a kernel that waits in vain
        faults = (each for each in faults if "launch" not in str(each[2].get("text")).lower())
    for rank, mine in by_rank(faults).items():
        yield access(alone(evidence) if rank is None else rank, mine)
    yield from by_driver(evidence)


def by_driver(evidence: Evidence) -> Iterable[Fact]:
    """Bad accesses in the driver's codes, where no hardware failed beside them."""
    words, known = all_told(evidence), pids(evidence)
    for one in words:
        if one.fault == "application" and not one.noted and not beside(one.gpu, words):
            rank = rank_of(one.event, evidence.nodes, known)
            yield Fact(
                kind="device.access_faulted",
                text=f"the driver stopped a bad access of {who(rank)}: Xid {one.code}, {one.meaning}"[:400],
                ranks=[] if rank is None else [rank],
                nodes=[one.event.node] if one.event.node else [],
                data={"how": "access", "text": one.meaning},
                since=one.event.time,
                events=[one.event],
                inferred=one.inferred,
            )


def memory(rank: int | None, found: Sequence[Telling], traces: Mapping[str, Event]) -> Fact:
    best = max(found, key=lambda each: (len(each[2]), each[0].where in traces))
    data = dict(best[2])
    how = kind_of(data, traces.get(best[0].where, best[0]))
    text = f"{who(rank)} {WORDS[how]}" + numbers(data)
    events = list(dict.fromkeys(e.where for e, _, _ in (best, *found)))
    ordered = [next(e for e, _, _ in found if e.where == where) for where in events]
    return Fact(
        kind="device.out_of_memory",
        text=text,
        ranks=[] if rank is None else [rank],
        data={**data, "how": how},
        since=since(found),
        events=ordered[:4],
    )


def kind_of(data: Mapping[str, object], trace: Event) -> str:
    """exhausted | fragmented | workspace | burst, by the numbers first, then by who asked."""
    if data.get("by") in {"library", "nccl", "driver"}:
        return "workspace"
    tried, total = size(data, "tried"), size(data, "total")
    held = size(data, "unallocated") or size(data, "reserved") - size(data, "allocated")
    if tried and size(data, "allocated") and held >= tried:
        return "fragmented"
    frames = trace.data.get("frames")
    if total and size(data, "others") >= OTHERS_SHARE * total:
        return "burst"
    if isinstance(frames, list) and any(word in str(f).lower() for f in frames[-3:] for word in BURSTS):
        return "burst"
    return "exhausted"


def size(data: Mapping[str, object], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0


def numbers(data: Mapping[str, object]) -> str:
    """What was asked for and what was free, in GiB."""
    parts = [
        f"{size(data, key) / 2**30:.2f} GiB {word}"
        for key, word in (("tried", "wanted"), ("free", "free"), ("total", "in all"))
        if key in data
    ]
    return f": {', '.join(parts)}" if parts else ""


def access(rank: int | None, found: Sequence[Telling]) -> Fact:
    asserts = [each for each in found if each[1] == "cuda.assert_failed"]
    best = (asserts or list(found))[0]
    is_assert = bool(asserts) or any("assert" in str(data.get("text")).lower() for _, _, data in found)
    what = (
        f"an assertion failed in a kernel of {who(rank)}" if is_assert else f"a kernel of {who(rank)} failed"
    )
    return Fact(
        kind="device.access_faulted",
        text=f"{what}: {best[2].get('text')}",
        ranks=[] if rank is None else [rank],
        data={"how": "assert" if is_assert else "access", "text": best[2].get("text")},
        since=since(found),
        events=[best[0], *(event for event, _, _ in found if event is not best[0])][:4],
    )


def who(rank: int | None) -> str:
    return "a rank" if rank is None else named([rank])

"""Who uses which GPU, and how fast it may run: by reports of the GPUs, and by what CUDA refused a rank.

Programs of the job share a name. One of another name beside them, with much memory, is somebody else's.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from diagnose.model import Event, Evidence, Fact, FactKind, fold, integer, named

KINDS = {
    "gpu.held_down": FactKind(
        "a GPU's clocks are held down by heat or power; data: gpu, reason", ("gpu_report",)
    ),
    "gpu.shared": FactKind(
        "somebody else's work is on a GPU of the job; data: how (process, busy), gpu, name", ("gpu_report",)
    ),
    "gpu.misplaced": FactKind(
        "ranks use other devices than their own; data: how (ordinal: it is not there; contexts: they hold "
        "one on others' GPUs, mostly on the first)",
        ("rank_log", "launcher_log", "gpu_report"),
    ),
}
MUCH = 1 << 30  # a desktop's windows need less
PYTHON = "python"
CONTEXT = 2 << 30  # more is no context alone
SHARE = 0.25  # of what it holds where it computes
ALIKE = 0.02


def derive(evidence: Evidence) -> Iterable[Fact]:
    held: dict[object, Event] = {}
    for event in evidence.of("gpu.held_down"):
        held.setdefault(event.data.get("index", event.data.get("bus")), event)
    for gpu, event in held.items():
        reason = event.data.get("reason")
        text = f"the clocks of GPU {gpu} are held down: {reason}"
        yield Fact(kind="gpu.held_down", text=text, data={"gpu": gpu, "reason": reason}, events=[event])
    listed = list(evidence.of("gpu.process_listed"))
    yield from foreign(listed, evidence)
    yield from contexts(listed)
    for event in evidence.of("device.misnumbered", "device.busy"):
        ranks = [] if event.rank is None else [event.rank]
        misnumbered = event.kind == "device.misnumbered"
        yield Fact(
            kind="gpu.misplaced" if misnumbered else "gpu.shared",
            text=f"CUDA said to {named(ranks) if ranks else 'a rank'}: {event.data.get('text')}",
            ranks=ranks,
            data={"how": "ordinal" if misnumbered else "busy"},
            since=event.time,
            events=[event],
            inferred=not misnumbered,
        )


def program(event: Event) -> str:
    """A process's name without its folder and version."""
    return str(event.data.get("name")).split(" ")[0].rpartition("/")[2].rstrip("0123456789.")


def foreign(listed: list[Event], evidence: Evidence) -> Iterable[Fact]:
    """Large processes of another program on a GPU that also holds one of the job's."""
    names = Counter(map(program, listed))
    ours = PYTHON if PYTHON in names else ""
    homes = {event.data.get("index") for event in listed if program(event) == ours}
    for event in listed:
        index, used = integer(event.data.get("index")), integer(event.data.get("used")) or 0
        if ours and program(event) != ours and index in homes and used >= MUCH:
            yield Fact(
                kind="gpu.shared",
                text=f"{event.data.get('name')} holds {used / 2**30:.1f} GiB of GPU {index}",
                ranks=[index] if index is not None and index in evidence.ranks else [],
                data={"how": "process", "gpu": index, "name": event.data.get("name")},
                events=[event],
                inferred=True,
            )


def contexts(listed: list[Event]) -> Iterable[Fact]:
    """Processes that are each at work on a GPU of their own, and hold a context on others too."""
    homes: dict[object, dict[object, int]] = defaultdict(dict)
    for event in listed:
        homes[event.data.get("pid")][event.data.get("index")] = integer(event.data.get("used")) or 0
    guests = {pid for pid, used in homes.items() if is_guest(list(used.values()))}
    guests |= visitors(homes)
    if len(guests) < 2 and len(homes) > 2:
        guests = set()  # one of many: it may be a tool
    events = [
        e
        for e in listed
        if e.data.get("pid") in guests
        and integer(e.data.get("used")) != max(homes[e.data.get("pid")].values())
    ]
    events = events or crowd(listed)
    if events:
        num, gpus = len({e.data.get("pid") for e in events}), {integer(e.data.get("index")) for e in events}
        where = fold([gpu for gpu in gpus if gpu is not None])
        text = f"{num} processes hold no more than a context on GPU {where}, beside one that computes there"
        yield Fact(kind="gpu.misplaced", text=text, data={"how": "contexts"}, events=events[:4])


def is_guest(used: list[int]) -> bool:
    """Whether a process has one GPU that it computes on, and no more than a context on each other one."""
    *small, most = sorted(used)
    return bool(small) and small[-1] <= CONTEXT and small[-1] < SHARE * most


def visitors(homes: Mapping[object, Mapping[object, int]]) -> set[object]:
    """Processes that each hold the same on one GPU, and more on another: they loaded it there."""
    on: dict[object, dict[object, int]] = defaultdict(dict)
    for pid, used in homes.items():
        for gpu in used if len(used) == 2 else ():
            if used[gpu] < max(used.values()):
                on[gpu][pid] = used[gpu]
    return {pid for held in on.values() if are_alike(list(held.values())) for pid in held}


def are_alike(used: Sequence[int]) -> bool:
    return len(used) >= 2 and max(used) - min(used) <= ALIKE * max(used)


def crowd(listed: list[Event]) -> list[Event]:
    """Contexts on the one GPU that is shown: all of one size, and of the program that computes there."""
    if len({event.data.get("index") for event in listed}) != 1 or len(set(map(program, listed))) != 1:
        return []
    *small, most = sorted(listed, key=lambda event: integer(event.data.get("used")) or 0)
    used = [integer(event.data.get("used")) or 0 for event in small]
    return small if are_alike(used) and is_guest([*used, integer(most.data.get("used")) or 0]) else []

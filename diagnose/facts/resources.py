"""What a machine had no more of: a rank's failure that names a full disk, the last descriptor, no memory.

Also compile caches that ranks spoil for each other: a file that was there is gone, stale or in use.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from diagnose import nccl
from diagnose.containers import is_unexplained, vanished
from diagnose.endings import ended
from diagnose.leaving import closings
from diagnose.losses import ended_well
from diagnose.model import Event, Evidence, Fact, FactKind, integer, named, rows
from diagnose.outgrowing import is_outgrown, trend
from diagnose.raisings import kinds, parted

NEEDS = ("rank_hook", "elastic_error", "rank_log", "launcher_log", "platform_log", "nccl_log")
KINDS = {
    "resource.exhausted": FactKind(
        "a rank failed: there was no more; data: kind (disk, shm, fds, memlock, memory), path, free, cached",
        NEEDS,
    ),
    "cache.spoiled": FactKind("a rank failed on a compile cache's file; data: how, path", NEEDS),
}
# The first that fits counts: one error number has several meanings.
EXHAUSTED = (
    (
        "memlock",
        re.compile(r"ibv_(?:reg_mr|create_)\w*.{0,80}(?:failed|Cannot allocate)|RLIMIT_MEMLOCK|memlock"),
    ),
    (
        "shm",
        re.compile(
            r"(?s)/dev/shm.{0,200}(?:No space left|\(28\))|No space left on device.{0,100}/dev/shm"
            r"|unable to (?:write to file|allocate shared memory|mmap).{0,200}(?:No space left|\(28\)|\(12\))"
            r"|unable to open shared memory object <[^>\n]{1,100}> in read-write mode\s*$"
            r"|out of shared memory|insufficient shared memory"
        ),
    ),
    (
        "disk",
        re.compile(
            r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]"
            r"|[Nn]ot enough (?:free )?(?:disk )?space"
        ),
    ),
    ("fds", re.compile(r"[Tt]oo many open files|\[Errno 2[34]\]|received 0 items of ancdata")),
    (
        "memory",
        re.compile(
            r"Cannot allocate memory|memory allocation of \d+ bytes failed|\[Errno 12\]"
            r"|(?<!OutOf)MemoryError: (?!.{0,40}: CUDA error)"
            r"|std::bad_alloc(?!: (?:out_of_memory: )?(?:CUDA|cuda))"
            r"|Unable to allocate [\d.]+ .iB|DefaultCPUAllocator: (?:can't allocate|not enough) memory"
        ),
    ),
)
# What a library says of a write that failed, without the system's reason.
WRITE_FAILED = re.compile(
    r"inline_container\.cc|PytorchStreamWriter failed|basic_ios::clear|iostream error"
    r"|[Ww]rite failed|[Ss]hort write"
)
SIGBUS, SIGKILL = 7, 9
FULL_PERCENT = 90.0  # of the host's memory
MUCH_BYTES = 16 << 30  # what a rank may well hold without harm
NEAR_S = 30.0  # a look at the disks and the failure
WORDS = {
    "disk": "found no space left on a disk",
    "shm": "found no shared memory left",
    "fds": "could open no more files",
    "memlock": "could lock no more memory",
    "memory": "got no more memory from the system",
}
SPOILED = (
    ("stale", re.compile(r"Stale file handle|\[Errno 116\]")),
    ("busy", re.compile(r"Device or resource busy|\[Errno 16\]|Text file busy|\[Errno 26\]")),
    ("quota", re.compile(r"Disk quota exceeded|\[Errno 122\]")),
    ("refused", re.compile(r"Permission denied|\[Errno 13\]")),
    # A header that a compiler does not find was never there; a whole path is the source that it was given.
    (
        "gone",
        re.compile(
            r"(?s)^(?!.*fatal error: (?!/))(?:.*)(?:FileNotFoundError|No such file or directory|\[Errno 2\])"
        ),
    ),
    ("in the way", re.compile(r"FileExistsError|\[Errno 17\]|Directory not empty|\[Errno 39\]")),
    (
        "torn",
        re.compile(r"file too short|invalid ELF header|JSONDecodeError|EOFError|UnpicklingError|truncated"),
    ),
)
# A path below a compiler's cache, or a frame of the code that keeps one.
CACHED = re.compile(
    r"torchinductor|/inductor[-_/]?cache|\.triton/|triton[-_/]cache|torch_?compile[-_/]?cache"
    r"|/flashinfer/.{0,80}cached_ops|/torch_extensions/|/deep_?gemm/cache",
    re.I,
)
KEEPERS = re.compile(
    r"torch/_inductor/(?:codecache|cpp_builder|runtime/\w*cach\w*|remote_cache|async_compile)\w*\.py"
    r"|triton/(?:runtime/cache|compiler/compiler)\.py|torch/_functorch/_aot_autograd/autograd_cache\.py"
)
FILE_ERROR = re.compile(
    r"(?:[\w.]+: )?(?:[\w.]*\.)?(?:FileNotFound|FileExists|OS|JSONDecode|EOF|Unpickling)Error\b"
)
PATH = re.compile(r"['\"`](/[^'\"\n]{1,500})['\"]|(?:\s|^)(/[^\s:'\"]{1,500})(?=: )")


def derive(evidence: Evidence) -> Iterable[Fact]:
    """What is said of no file in particular is of the shared memory, where that was used up."""
    found = list(every(evidence))
    is_shm = any(fact.data.get("kind") == "shm" for fact in found)
    yield from (f for f in found if not (is_shm and f.data.get("kind") == "disk" and not f.data.get("path")))


def every(evidence: Evidence) -> Iterable[Fact]:
    caches = [str(e.data[key]) for e in evidence.of("phase.started") for key in CACHE_KEYS if e.data.get(key)]
    of_ranks: set[str] = set()
    for rank, events in sorted(failures(evidence).items()):
        told: dict[str, Fact] = {}
        for event in sorted(events, key=lambda e: e.time is None):
            for found in facts(rank, event, caches):
                told.setdefault(found.kind + str(found.data.get("kind")), found)
        yield from (counted(found, rank, evidence) for found in told.values())
        if not told:
            yield from witnessed(rank, events[0], evidence)
        of_ranks |= {str(found.data.get("kind")) for found in told.values()}
    yield from nobodys(evidence, of_ranks, caches)
    yield from outgrown(evidence)
    yield from outgrown_by_all(evidence)
    yield from refused(evidence)


OF_NCCL = {"nccl.shm_refused": "shm", "nccl.memlock_refused": "memlock"}


def refused(evidence: Evidence) -> Iterator[Fact]:
    """What NCCL was refused: it says so itself, also where nobody tells how the rank ended."""
    for event, name, said in nccl.sayings(evidence, *OF_NCCL):
        kind, host = OF_NCCL[name], event.data.get("host")
        who = named([event.rank]) if event.rank is not None else f"NCCL on {host or 'some rank'}"
        yield Fact(
            kind="resource.exhausted",
            text=f"{who} {WORDS[kind]}: {said.get('text')}",
            ranks=[] if event.rank is None else [event.rank],
            nodes=[host] if isinstance(host, str) else [],
            data={"kind": kind, "path": "", "free": 0, "cached": False},
            since=event.time,
            events=[event],
        )


def nobodys(evidence: Evidence, of_ranks: set[str], caches: list[str]) -> Iterator[Fact]:
    """What logs tell of ranks that they do not name; what was no exception may have been survived."""
    if ended_well(evidence):
        return
    told: dict[str, Fact] = {}
    of_nccl = {event.where for event, _, _ in nccl.sayings(evidence, *OF_NCCL)}  # it tells of what
    words = evidence.of("exception.raised", "resource.refused")
    for event in (e for e in words if e.rank is None and e.where not in of_nccl):
        for found in facts(-1, event, caches):
            what = str(found.data.get("kind"))  # "None": a cache's file
            if what not in of_ranks:
                text = found.text.replace(named([-1]), "a rank")
                sure = event.kind == "exception.raised"
                told.setdefault(what, msgspec.structs.replace(found, ranks=[], text=text, inferred=not sure))
    yield from told.values()
    for event in list(evidence.of("memory.guard_killed"))[:1]:
        text = f"{event.data.get('by')} ended a process for memory: {event.data.get('text')}"
        memory: dict[str, object] = {"kind": "memory", "path": "", "free": 0, "cached": False}
        yield Fact(kind="resource.exhausted", text=text, data=memory, since=event.time, events=[event])


def outgrown(evidence: Evidence) -> Iterator[Fact]:
    """Memory that a program's own figures show at its end, where SIGKILL ended ranks and nobody says why."""
    closed = closings(evidence)
    killed = sorted(e.rank for e in ended(evidence).values() if e.sig == SIGKILL and e.rank not in closed)
    nameless = any(e.data.get("exit_code") == -SIGKILL for e in evidence.of("launcher.command_failed"))
    listed = evidence.of("host.memory_listed")  # one that shows room was made afterwards
    told = [
        *evidence.of("memory.reported"),
        *(e for e in listed if float(str(e.data["percent"])) >= FULL_PERCENT),
    ]
    shares = [share for e in told if (share := e.data.get("percent")) is not None]
    used = [n for e in told if isinstance(n := e.data.get("used"), int)]
    is_full = bool(shares) and isinstance(shares[-1], int | float) and shares[-1] >= FULL_PERCENT
    rises = len(used) >= 3 and used == sorted(used) and used[0] < used[-1] and used[-1] >= MUCH_BYTES
    if (killed or nameless) and (is_full or rises):
        figure = f"{shares[-1]} % of it" if is_full else f"{used[-1] / 2**30:.1f} GiB, more each time"
        who = named(killed) if killed else "a rank"
        text = f"host memory was used up to {figure} when SIGKILL ended {who}"
        data: dict[str, object] = {"kind": "memory", "path": "", "free": None, "cached": False}
        yield Fact(
            kind="resource.exhausted", text=text, ranks=killed, data=data, events=told[-2:], inferred=True
        )


def outgrown_by_all(evidence: Evidence) -> Iterator[Fact]:
    """Memory that rose to a container's limit until it was heard no more; open where figures do not tell."""
    gone = vanished(evidence)
    if gone is None or not is_unexplained(evidence):
        return
    limit, data = gone.limit, {"kind": "memory", "path": "", "free": None, "cached": False}
    found = trend(gone, limit, evidence) if limit else None
    if found is None or not limit:
        text = "nobody knows how near to its limit of memory the container was: " + (
            "no limit was asked for" if not limit else "it went before it could tell"
        )
        yield Fact("resource.exhausted", text, data=dict(data), events=[gone.started], open=True)
    elif is_outgrown(found, limit):
        text = (
            f"its processes held {found.used / 2**30:.2f} of {limit / 2**30:.2f} GiB when it was last heard, "
            f"{found.rate / 2**20:.0f} MiB more each second"
        )
        yield Fact("resource.exhausted", text, data=dict(data), events=found.events, inferred=True)


def counted(fact: Fact, rank: int, evidence: Evidence) -> Fact:
    """With what the agent counted: the descriptors that the rank had open when it failed."""
    samples = [e for e in evidence.of("rank.sampled") if e.rank == rank and e.data.get("max_fds")]
    if fact.data.get("kind") != "fds" or not samples:
        return fact
    most = max(samples, key=lambda e: integer(e.data.get("num_fds")) or 0)
    text = f"{fact.text}; it had {most.data['num_fds']} of {most.data['max_fds']} open"
    return msgspec.structs.replace(fact, text=text, events=[*fact.events, most])


CACHE_KEYS = ("inductor_cache", "triton_cache")


def failures(evidence: Evidence) -> dict[int, list[Event]]:
    """What each rank failed of: its own exceptions, else the system's words before an end of its own."""
    found = {
        rank: mine
        for rank, chains in parted(evidence)[0].items()
        if (mine := [e for chain in chains for kind, e in kinds(chain) if kind == "exception.raised"])
    }
    ends = ended(evidence)
    for event in evidence.of("resource.refused"):
        end = ends.get(event.rank) if event.rank is not None else None
        if end is not None and end.rank not in found and (end.code or end.sig == SIGBUS):
            found.setdefault(end.rank, []).append(event)
    for end in ends.values():
        if end.sig == SIGBUS:
            found.setdefault(end.rank, [end.event])
    return found


def witnessed(rank: int, event: Event, evidence: Evidence) -> Iterator[Fact]:
    """A write that failed without a reason given, while the agent found a file system without room."""
    text = f"{event.data.get('type', '')}: {event.data.get('message', '')}"
    if event.kind != "rank.died" and not WRITE_FAILED.search(text):
        return
    full = [
        (integer(row.get("free")), str(row.get("point")), str(row.get("spent")), look)
        for look in evidence.of("disks.read")
        if None in (look.time, event.time) or abs((look.time or 0) - (event.time or 0)) < NEAR_S
        for row in rows(look.data.get("full"))
    ]
    for free, point, spent, look in sorted(full, key=lambda row: row[0] or 0)[:1]:
        kind = "shm" if point.startswith("/dev/shm") else "disk"
        words = f"{named([rank])} failed to write ({text[:200]}); {point} had no {spent} left"
        data: dict[str, object] = {"kind": kind, "path": point, "free": free, "cached": False}
        fact = statement("resource.exhausted", words, rank, event, data)
        yield msgspec.structs.replace(fact, events=[look, event])


def facts(rank: int, event: Event, caches: list[str]) -> Iterator[Fact]:
    text = f"{event.data.get('type', '')}: {event.data.get('message', event.data.get('text', ''))}"
    path = next((a or b for a, b in PATH.findall(text)), "")
    cached = is_cached(event, text, path, caches)
    how = next(((name, words) for name, words in SPOILED if words.search(text)), None) if cached else None
    kind = next(((name, words) for name, words in EXHAUSTED if words.search(text)), None)
    if how:
        words = f"{named([rank])} failed on a compile cache: {told(text, how[1])}"
        yield statement("cache.spoiled", words, rank, event, {"how": how[0], "path": path})
    elif kind:
        words = f"{named([rank])} {WORDS[kind[0]]}: {told(text, kind[1])}"
        data: dict[str, object] = {"kind": kind[0], "path": path, "free": 0, "cached": cached}
        yield statement("resource.exhausted", words, rank, event, data)


def told(text: str, words: re.Pattern[str]) -> str:
    """The line of a message that holds the words."""
    return next((line for line in text.split("\n") if words.search(line)), text.split("\n")[0])[:300]


def is_cached(event: Event, text: str, path: str, caches: list[str]) -> bool:
    """Whether it failed on a file of a compile cache: by the file's path, or by the code that keeps it."""
    if any(path.startswith(cache.rstrip("/") + "/") for cache in caches) or CACHED.search(path):
        return True
    frames = event.data.get("frames")
    inner = frames[-4:] if isinstance(frames, list) else []
    return bool(FILE_ERROR.match(text)) and any(KEEPERS.search(str(frame)) for frame in inner)


def statement(kind: str, text: str, rank: int, event: Event, data: dict[str, object]) -> Fact:
    return Fact(kind=kind, text=text, ranks=[rank], data=data, since=event.time, events=[event])

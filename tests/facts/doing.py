"""Hand-made evidence that several tests share."""

from diagnose.activity import of_rank
from diagnose.looks import Look
from diagnose.model import Event
from diagnose.pipeline import judge
from diagnose.playbook import load

BOOK = load()
TRAIN, TORCH = "/app/train.py", "/v/lib/python3.11/site-packages/torch/"
LOADER = [
    ("_PollLikeSelector.select", "/usr/lib/python3.11/selectors.py"),
    ("Queue.get", "/usr/lib/python3.11/multiprocessing/queues.py"),
    ("_MultiProcessingDataLoaderIter._try_get_data", TORCH + "utils/data/dataloader.py"),
    ("main", TRAIN),
]
ALL_REDUCE = [("all_reduce", TORCH + "distributed/distributed_c10d.py"), ("main", TRAIN)]
QUIET = {"state": "S", "syscall": 7, "cpu_s": 1.0, "main_cpu_s": 1.0, "io_bytes": 100}
LOCKED = {**QUIET, "syscall": 202}
SCANS = ("100", "102")


def stack(rank, scan, frames, kind="stack.read", gil=None, line=7, **data):
    if gil:
        data |= {
            "gil_thread": gil,
            "gil_is_main": gil == "MainThread",
            "gil_stack": [f"{frames[0][0]} (x.py:1)"],
        }
    told = {
        "main": [f"{f} ({p.rpartition('/')[2]}:{line})" for f, p in frames],
        "paths": [p for _, p in frames],
    }
    where = f"attempts/1/stacks/{scan}/rank-{rank:05d}.json"
    return Event(kind, "stack_dump", where, float(scan), rank=rank, data={"active": False, **told, **data})


def proc(rank, scan, kind="proc.dumped", **data):
    where = "attempts/1/events/agent-000001.jsonl:1"
    return Event(kind, "agent", where, float(scan), rank=rank, data={"dir": scan, **QUIET, **data})


def look(*events):
    scans = [[e for e in events if e.time == float(scan)] for scan in SCANS]
    return Look(cause="stalled", time=103.0, scans=scans)


def twice(rank, frames, **data):
    return [e for s in SCANS for e in (stack(rank, s, frames), proc(rank, s, **data))]


def read(*events, waits=False):
    found = of_rank(look(*events), 1, waits)
    return found and (found.is_, found.moving)


def job(*events, taken=103.0, cause="stalled"):
    """A verdict's causes: rank 0 waits in a collective that rank 1 has not launched."""
    rows = [
        Event(
            "flight.group_read",
            "flight_recorder",
            f"attempts/1/flight/{s}/rank-{r:05d}.json",
            float(s),
            rank=r,
            data={"group": "0", "desc": "default_pg", "launched": 5 - r, "completed": 4, "ranks": [0, 1]},
        )
        for s in SCANS
        for r in (0, 1)
    ]
    where = "attempts/1/events/agent-000001.jsonl:2"
    found = {"time_dirs": list(SCANS), "cause": cause, "seconds": 2.1}
    ends = [
        Event("rank.found", "agent", where, 1.0, rank=r, data={"world_size": 2, "pid": 10 + r})
        for r in (0, 1)
    ]
    stall = Event("job.stalled", "agent", where, 100.0, data={"silent_s": 4.0, "ranks": [0, 1]})
    look = Event("evidence.taken", "agent", where, taken, data=found)
    verdict = judge("run", [*ends, stall, *rows, *twice(0, ALL_REDUCE, syscall=202), *events, look], BOOK)
    return [(c.failure, c.ranks, c.grade) for c in verdict.causes]


def other(name, frames, **data):
    """A thread beside the main one."""
    return {
        "thread": name,
        "main": [f"{f} (x.py:3)" for f, _ in frames],
        "paths": [p for _, p in frames],
        **data,
    }


def silent(*events, num_ranks=2):
    """The verdict on a job that is silent, and nobody waits in a collective."""
    where = "attempts/1/events/agent-000001.jsonl:2"
    ends = [
        Event("rank.found", "agent", where, 1.0, rank=r, data={"world_size": num_ranks, "pid": 10 + r})
        for r in range(num_ranks)
    ]
    stall = Event("job.stalled", "agent", where, 100.0, data={"silent_s": 4.0, "ranks": [0, 1]})
    found = {"time_dirs": list(SCANS), "cause": "stalled", "seconds": 2.1}
    look = Event("evidence.taken", "agent", where, 103.0, data=found)
    return judge("run", [*ends, stall, *events, look], BOOK)


def alone(*events, num_ranks=2):
    """Its causes."""
    verdict = silent(*events, num_ranks=num_ranks)
    return [(c.failure, c.ranks, c.grade) for c in verdict.causes]

"""Flight recorder dumps as NCCL ranks leave them: world, tensor and data parallel groups, one rank late.

`write(folder, num_ranks, num_entries)`: the last world `all_reduce` was never launched by rank `LATE`.
"""

import multiprocessing
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

TENSOR = 8  # ranks of a tensor parallel group
LATE = 3
BEGUN_NS = 1_790_000_000_000_000_000
STACKS = [
    ["all_reduce", "wrapper", "forward", "step", "main"],
    ["reduce_scatter", "wrapper", "backward", "main"],
]
FRAMES = [
    [{"name": name, "filename": f"/app/{name}.py", "line": 10 * i} for i, name in enumerate(stack)]
    for stack in STACKS
]
OPS = {
    "tp": ("nccl:all_reduce", [[4096, 1024]], [[4096, 1024]]),
    "dp": ("nccl:_reduce_scatter_base", [[131072]], [[131072]]),  # whose input is as much for each rank
    "world": ("nccl:all_reduce", [[1]], [[1]]),
}


def calls(num: int) -> Iterator[str]:
    """What every rank calls, in order: `world` is the last."""
    for i in range(num - 1):
        yield "world" if i % 50 == 49 else "dp" if i % 5 == 4 else "tp"
    yield "world"


def dump(rank: int, num_ranks: int, num_entries: int) -> bytes:
    tensor, data = rank // TENSOR, rank % TENSOR
    members = {
        "world": (0, "0", "default_pg", list(range(num_ranks))),
        "tp": (1, str(1 + tensor), "tp", list(range(tensor * TENSOR, (tensor + 1) * TENSOR))),
        "dp": (2, str(1 + num_ranks // TENSOR + data), "dp", list(range(data, num_ranks, TENSOR))),
    }
    count = dict.fromkeys(members, 0)
    entries = []
    for record, kind in enumerate(calls(num_entries)):
        is_last = record == num_entries - 1
        if is_last and rank == LATE:
            break
        count[kind] += 1
        pg_id, name, desc, _ = members[kind]
        op, inputs, outputs = OPS[kind]
        if kind == "dp":
            inputs = [[outputs[0][0] * (num_ranks // TENSOR)]]
        made = BEGUN_NS + record * 1_000_000 + rank
        entries.append(
            {
                "frames": FRAMES[kind == "dp"],
                "record_id": record,
                "pg_id": pg_id,
                "process_group": (name, desc),
                "thread_name": "python3",
                "thread_id": "23456244340032",
                "collective_seq_id": count[kind],
                "p2p_seq_id": 0,
                "op_id": count[kind],
                "profiling_name": op,
                "time_created_ns": made,
                "input_sizes": [list(shape) for shape in inputs],
                "input_dtypes": ["BFloat16"],
                "output_sizes": [list(shape) for shape in outputs],
                "output_dtypes": ["BFloat16"],
                "state": "scheduled" if is_last else "completed",
                "time_discovered_started_ns": None,
                "time_discovered_completed_ns": None if is_last else made + 500_000,
                "retired": not is_last,
                "timeout_ms": 600_000,
                "is_p2p": False,
            }
        )
    status = {
        str(pg_id): {
            "last_enqueued_collective": count[kind],
            "last_started_collective": -1,
            "last_completed_collective": count[kind] - (kind == "world" and rank != LATE),
        }
        for kind, (pg_id, *_) in members.items()
    }
    config = {
        name: {"name": name, "desc": desc, "ranks": str(ranks)} for _, name, desc, ranks in members.values()
    }
    told = {"version": "2.10", "pg_config": config, "comm_lib_version": "2.27.3", "pg_status": status}
    return pickle.dumps({**told, "entries": entries}, 2)


def one(folder: Path, num_ranks: int, num_entries: int, rank: int) -> int:
    data = dump(rank, num_ranks, num_entries)
    (folder / f"comm_lib_trace_rank_{rank}").write_bytes(data)
    return len(data)


def write(folder: Path, num_ranks: int, num_entries: int) -> int:
    """Write them all; their bytes together."""
    folder.mkdir(parents=True)
    with multiprocessing.Pool() as pool:
        return sum(pool.imap_unordered(partial(one, folder, num_ranks, num_entries), range(num_ranks), 8))

"""The flight recorder of each rank, as NCCL's or gloo's leaves it in a dump: pickle or JSON.

Gloo's knows no state but `scheduled`, calls retired what is done, has one nameless group in `pg_config`
and counts all operations in `pg_status`: who is in a group only the hooks' events tell.
"""

import json
import pickle
import random
from dataclasses import dataclass, replace

from tests.incidents.layout import Layout, ids, names
from tests.incidents.machine import Launched, Machine

BEGUN_NS = 1_790_000_000_000_000_000
LAG = 2  # operations that a stale watchdog has not yet looked at
RENAMED = {"_all_gather_base": "all_gather", "_reduce_scatter_base": "all_reduce"}  # by gloo
Row = dict[str, object]


@dataclass(frozen=True)
class Recording:
    """How a job's recorders are set up."""

    size: int = 2000  # entries of the ring
    has_starts: bool = False
    only_active: bool = False
    has_frames: bool = True
    names: str = "counter"  # counter | hash | split
    is_lazy: bool = True  # groups that were never used show nowhere
    version: str = "2.10"
    form: str = "pickle"  # pickle | json | both (drawn for each rank)
    num_scans: int = 1
    library: str = "nccl"
    status: str = "fresh"  # stale: what the watchdog saw some time ago | absent


def draw(choose: random.Random, window: int, library: str) -> Recording:
    small = max(24, 4 * window)
    is_gloo = library == "gloo"
    only_active = not is_gloo and choose.random() < 0.25
    size = choose.choice([2000, 2000, small, small * 3])
    named = ["counter"] if only_active else ["counter", "counter", "hash", "split"]
    return Recording(
        size=size,
        has_starts=not is_gloo and choose.random() < 0.3,
        only_active=only_active,
        has_frames=choose.random() < 0.6,
        names=choose.choice(named),
        is_lazy=choose.random() < 0.7,
        version=choose.choice(["2.10", "2.9", "2.10", "2.7", "2.11", "mixed"]),
        form=choose.choice(["pickle", "pickle", "pickle", "json", "both"]),
        num_scans=choose.choice([1, 1, 1, 2]),
        library=library,
        status=draw_status(choose, size < 2000, only_active),
    )


def draw_status(choose: random.Random, is_small: bool, only_active: bool) -> str:
    """Where entries are gone from a dump, the watchdog's word is all there is: then it is a true one."""
    return choose.choice(
        [
            "fresh",
            *(["stale"] if not is_small else []),
            *(["absent"] if not (is_small or only_active) else []),
        ]
    )


def record(machine: Machine, layout: Layout, how: Recording, rank: int, choose: random.Random) -> Row:
    """One rank's dump at this moment."""
    called, numbers = names(layout, how.names), ids(layout, rank, choose)
    kept = machine.launched[rank][-how.size :]
    shown = [one for one in kept if not (how.only_active and one.is_done)]
    comms = [c for c in layout.mine(rank) if not how.is_lazy or c.number in machine.last_on[rank]]
    own = replace(how, version=choose.choice(["2.9", "2.10"])) if how.version == "mixed" else how
    tag = {"nccl_version": "2.27.3"} if own.version in ("2.7", "2.9") else {"comm_lib_version": "2.27.5"}
    config = {
        called[c.number]: {"name": called[c.number], "desc": c.desc, "ranks": str(list(c.ranks))}
        for c in sorted(comms, key=lambda c: called[c.number])
    }
    if how.library == "gloo":
        tag, ranks = {"comm_lib_version": ""}, [] if len(comms) > 1 else list(range(layout.grid.num_ranks))
        config = {"": {"name": "", "desc": "default_pg", "ranks": str(ranks)}}
    statuses = {str(numbers[c.number]): status(machine, rank, c.number, how) for c in comms}
    return {
        "version": own.version,
        **tag,
        "pg_config": config,
        **({} if how.status == "absent" else {"pg_status": statuses}),
        "entries": [
            row
            for one in shown
            for row in rows(one, called[one.call.comm.number], numbers[one.call.comm.number], how)
        ],
    }


def status(machine: Machine, rank: int, number: int, how: Recording) -> dict[str, int]:
    """The watchdog's view: the number of the newest operation of either counter; gloo's counts both."""
    mine = [one for one in machine.launched[rank] if one.call.comm.number == number]
    noticed = mine[:-LAG] if how.status == "stale" else mine
    started = [one for one in noticed if one.is_started] if how.has_starts else []
    done = [one for one in noticed if one.is_done]
    if how.library == "gloo":
        last = {"enqueued": mine, "started": [], "completed": done}
        return {f"last_{what}_collective": some[-1].op_id if some else -1 for what, some in last.items()}
    return {
        "last_enqueued_collective": mine[-1].seq if mine else -1,
        "last_started_collective": started[-1].seq if started else -1,
        "last_completed_collective": done[-1].seq if done else -1,
    }


def rows(one: Launched, name: str, pg_id: int, how: Recording) -> list[Row]:
    """A launch's entries: one, or those of a block of transfers with its last one, `coalesced`."""
    call = one.call
    if not call.peers:
        op = RENAMED.get(call.op, call.op) if how.library == "gloo" else call.op
        return [row(one, name, pg_id, how, f"{how.library}:{op}")]
    mine = call.comm.local(one.rank)
    titles = [f"nccl:{what} {mine}{'->' if what == 'send' else '<-'}{peer}" for what, peer in call.peers]
    if not call.is_coalesced:
        return [row(one, name, pg_id, how, titles[0])]
    inside = [row(one, name, pg_id, how, title) for title in titles]
    for i, each in enumerate(inside):  # events are recorded for the block alone
        each.update(record_id=one.record + i)
        each.update(state="scheduled", retired=False, time_discovered_started_ns=None)
        each.update(time_discovered_completed_ns=None)
        each.pop("duration_ms", None)
    end = row(one, name, pg_id, how, "nccl:coalesced")
    end.update(record_id=one.record + len(inside))
    end.update(input_sizes=[], output_sizes=[], input_dtypes=[], output_dtypes=[])
    return [*inside, end]


def row(one: Launched, name: str, pg_id: int, how: Recording, title: str) -> Row:
    call = one.call
    begun = one.is_started and how.has_starts
    state = "completed" if one.is_done else "started" if begun else "scheduled"
    found: Row = {
        "record_id": one.record,
        "pg_id": pg_id,
        "process_group": (name, call.comm.desc),
        "thread_name": "pt_main_thread",
        "thread_id": "140221" + str(one.rank),
        "collective_seq_id": one.other_seq if call.peers else one.seq,
        "p2p_seq_id": one.seq if call.peers else one.other_seq,
        "op_id": one.op_id,
        "profiling_name": title,
        "time_created_ns": BEGUN_NS + one.time * 1000,
        "input_sizes": [list(size) for size in call.sizes],
        "input_dtypes": [call.dtype],
        "output_sizes": [list(size) for size in call.outputs or call.sizes],
        "output_dtypes": [call.dtype],
        "state": state,
        "time_discovered_started_ns": BEGUN_NS + one.times[0] * 1000 if begun else None,
        "time_discovered_completed_ns": BEGUN_NS + one.times[1] * 1000 if one.is_done else None,
        "retired": one.is_done,
        "timeout_ms": 600_000,
        "is_p2p": bool(call.peers),
    }
    if how.library == "gloo":
        found.update(state="scheduled", time_discovered_completed_ns=None)
    if how.has_starts and one.is_done:
        found["duration_ms"] = 0.001 * (one.times[1] - one.times[0])
    if how.has_frames:
        place = {"name": "train_step", "filename": "/app/train.py", "line": call.line}
        found["frames"] = [
            {"name": call.op, "filename": "/usr/lib/torch/distributed/distributed_c10d.py", "line": 3248},
            place,
        ]
    return found


def as_bytes(dump: Row, is_json: bool) -> bytes:
    """The file's content. JSON: numbers of `pg_status` as text, 0 for no time, no frames, no empty list."""
    if not is_json:
        return pickle.dumps(dump, protocol=2)
    entries = [
        {
            **{k: v for k, v in entry.items() if k != "frames"},
            "time_discovered_started_ns": entry["time_discovered_started_ns"] or 0,
            "time_discovered_completed_ns": entry["time_discovered_completed_ns"] or 0,
        }
        for entry in dump["entries"]
    ]
    statuses = {
        key: {k: str(v) for k, v in values.items()} for key, values in dump.get("pg_status", {}).items()
    }
    told = {
        **{k: v for k, v in dump.items() if k != "entries"},
        **({"pg_status": statuses} if "pg_status" in dump else {}),
        "nccl_comm_state": {},
    }
    return json.dumps(told | ({"entries": entries} if entries else {})).encode()


def events(layout: Layout, how: Recording, rank: int) -> bytes:
    """What one rank's hook tells of its groups, in the order in which the job makes them."""
    called = names(layout, how.names)
    lines = [
        {
            "v": 1,
            "time": BEGUN_NS / 1e9 - 60 + comm.number,
            "event": "group.created",
            "source": "rank_hook",
            "rank": rank,
            "group": called[comm.number],
            "desc": comm.desc,
            "ranks": list(comm.ranks),
            "backend": how.library,
            "index": comm.number,
        }
        for comm in layout.comms
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()

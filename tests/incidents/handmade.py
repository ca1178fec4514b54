"""Flight recorder dumps written call by call, NCCL's or gloo's, for pictures that are known by heart."""

import json
import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

Row = dict[str, object]
BEGUN_NS = 1_790_000_000_000_000_000
COUNTERS = ("collective", "p2p", "op")


class Job:
    """`call` adds one collective on some ranks of a group, `send` a transfer; `write` leaves the dumps."""

    def __init__(self, num_ranks: int, library: str = "nccl", version: str = "2.10") -> None:
        self.num_ranks, self.library, self.version = num_ranks, library, version
        self.groups: dict[str, tuple[str, str, list[int]]] = {}
        self.rows: dict[int, list[Row]] = {rank: [] for rank in range(num_ranks)}
        self.counts: dict[tuple[int, str, str], int] = {}
        self.num_made = 0
        self.group("world", range(num_ranks), "0", "default_pg")

    def group(self, key: str, ranks: Iterable[int], name: str, desc: str = "undefined") -> None:
        self.groups[key] = (name, desc, list(ranks))

    def ids(self, rank: int) -> dict[str, int]:
        """Group -> this process's own number of it."""
        mine = [key for key, (_, _, ranks) in self.groups.items() if rank in ranks]
        return {key: i for i, key in enumerate(mine)}

    def next(self, rank: int, group: str, counter: str) -> int:
        key = (rank, group, counter)
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    def call(
        self,
        group: str,
        op: str = "all_reduce",
        ranks: Iterable[int] | None = None,
        done: bool | Iterable[int] = True,
        **more: object,
    ) -> None:
        """One collective. `ranks`: who launched it (all), `done`: who completed it, `more`: other fields."""
        members = self.groups[group][2]
        ranks = list(members if ranks is None else ranks)
        completed = set(ranks if done is True else () if done is False else done)
        for rank in ranks:
            self.next(rank, group, "collective")
            self.next(rank, group, "op")
            self.row(rank, group, op, rank in completed, False, **more)

    def send(
        self, group: str, source: int, target: int, ranks: Sequence[int] | None = None, done: bool = True
    ) -> None:
        """One plain transfer between two global ranks, as far as `ranks` have launched their side."""
        for rank in (source, target) if ranks is None else ranks:
            self.next(rank, group, "p2p")
            self.next(rank, group, "op")
            self.row(rank, group, self.title(group, source, target, rank == source), done, True)

    def batch(self, group: str, rank: int, parts: Sequence[tuple[int, int]], done: bool = True) -> None:
        """Transfers (source, target) that one rank launches as one coalesced block."""
        self.next(rank, group, "p2p")
        for source, target in parts:
            self.next(rank, group, "op")
            self.row(rank, group, self.title(group, source, target, rank == source), False, True)
        self.row(rank, group, "coalesced", done, True, input_sizes=[], output_sizes=[])

    def title(self, group: str, source: int, target: int, is_send: bool) -> str:
        members = self.groups[group][2]
        a, b = members.index(source), members.index(target)
        return f"send {a}->{b}" if is_send else f"recv {b}<-{a}"

    def row(self, rank: int, group: str, op: str, done: bool, is_p2p: bool, **more: object) -> None:
        name, desc, _ = self.groups[group]
        self.num_made += 1
        collective, p2p, number = (self.counts.get((rank, group, counter), 0) for counter in COUNTERS)
        is_nccl = self.library == "nccl"
        made = BEGUN_NS + self.num_made * 1_000_000
        line = more.pop("line", 40)
        frame = {"name": "step", "filename": "/app/train.py", "line": line}
        self.rows[rank].append(
            {
                "frames": [frame],
                "record_id": len(self.rows[rank]),
                "pg_id": self.ids(rank)[group],
                "process_group": (name if is_nccl else str(list(self.groups).index(group)), desc),
                "thread_name": "main",
                "thread_id": "1",
                "collective_seq_id": collective,
                "p2p_seq_id": p2p,
                "op_id": number,
                "profiling_name": f"{self.library}:{op}",
                "time_created_ns": made,
                "input_sizes": [[64, 4]],
                "input_dtypes": ["Float"],
                "output_sizes": [[64, 4]],
                "output_dtypes": ["Float"],
                "state": "completed" if done and is_nccl else "scheduled",
                "time_discovered_started_ns": None,
                "time_discovered_completed_ns": made + 500 if done and is_nccl else None,
                "retired": done,
                "timeout_ms": 600_000,
                "is_p2p": is_p2p,
                **more,
            }
        )

    def dump(self, rank: int, ring: int = 2000, only_active: bool = False) -> Row:
        kept = self.rows[rank][-ring:]
        mine = {key: told for key, told in self.groups.items() if rank in told[2]}
        config = {
            name: {"name": name, "desc": desc, "ranks": str(ranks)} for name, desc, ranks in mine.values()
        }
        if self.library == "gloo":  # one key for all groups
            ranks = "[]" if len(mine) > 1 else str(self.groups["world"][2])
            config = {"": {"name": "", "desc": "default_pg", "ranks": ranks}}
        return {
            "version": self.version,
            "comm_lib_version": "" if self.library == "gloo" else "2.27.5",
            "pg_config": config,
            "pg_status": {str(n): self.status(rank, key) for key, n in self.ids(rank).items()},
            "entries": [row for row in kept if not (only_active and row["state"] == "completed")],
        }

    def status(self, rank: int, group: str) -> Row:
        number = self.ids(rank)[group]
        mine = [row for row in self.rows[rank] if row["pg_id"] == number]
        done = [row for row in mine if row["retired"]]
        return {
            "last_enqueued_collective": counter_of(mine[-1]) if mine else -1,
            "last_started_collective": -1,
            "last_completed_collective": counter_of(done[-1]) if done else -1,
        }

    def dumps(self, **more: object) -> Iterator[tuple[int, Row]]:
        yield from ((rank, self.dump(rank, **more)) for rank in range(self.num_ranks))

    def write(self, folder: Path, without: Iterable[int] = (), **more: object) -> None:
        """Every rank's dump as a pickle, with NCCL's usual file names."""
        left_out = set(without)
        for rank, dump in self.dumps(**more):
            if rank not in left_out:
                (folder / f"nccl_trace_rank_{rank}").write_bytes(pickle.dumps(dump, protocol=2))


def counter_of(row: Row) -> object:
    return row["p2p_seq_id" if row["is_p2p"] else "collective_seq_id"]


def as_json(dump: Row) -> bytes:
    """The JSON form of a dump."""
    entries = [{key: value for key, value in row.items() if key != "frames"} for row in dump["entries"]]
    told = {**dump, "nccl_comm_state": {}, "entries": entries}
    if not entries:
        del told["entries"]
    return json.dumps(told).encode()

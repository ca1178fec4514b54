"""The wait-for graph alone: frontiers in, roots out, for jobs of up to 131,072 ranks.

`python graph.py [RANKS ...]` prints the rows of README; a table of every size goes to stderr. The job has
tensor groups of 8, pipelines of 16 stages, data parallel groups of the rest, and the world. One rank never
launches a collective of its tensor group: its peers wait there, the other stages for their input, all other
replicas for its replica's gradients.
"""

import gc
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from common import row
from msgspec.structs import replace

from diagnose.circles import circles
from diagnose.communicators import Dumps
from diagnose.facts.waits import of_look
from diagnose.looks import Look
from diagnose.model import Event, Evidence
from diagnose.transfers import transfers
from diagnose.waitgraph import ordered, wait_for
from diagnose.waiting import Group, Member, ranks

TENSOR, PIPE = 8, 16
BARS_S = {8_192: 2.0, 131_072: 10.0}
SIZES = (1_024, 8_192, 32_768, 131_072)
QUIET = Event("flight.group_read", "flight_recorder", "flight", data={})


class Job(NamedTuple):
    """`data * PIPE * TENSOR` ranks; `late` is the rank that never launches."""

    data: int
    late: int

    @property
    def num_ranks(self) -> int:
        return self.data * PIPE * TENSOR

    def rank(self, stage: int, replica: int, slot: int) -> int:
        return (stage * self.data + replica) * TENSOR + slot

    def place(self, rank: int) -> tuple[int, int, int]:
        rest, slot = divmod(rank, TENSOR)
        return *divmod(rest, self.data), slot

    def groups(self) -> Iterator[Group]:
        late_stage, late_replica, _ = self.place(self.late)
        stages, replicas, slots = range(PIPE), range(self.data), range(TENSOR)
        world = [Member(rank, 3, 3, event=QUIET) for rank in range(self.num_ranks)]
        yield Group("0", "default_pg", world, key=("world",), in_order=True)
        for stage in stages:
            for replica in replicas:
                mine = [self.rank(stage, replica, slot) for slot in slots]
                members = [pending(r, 100, 3.0) if r != self.late else done(r, 99) for r in mine]
                if self.late not in mine:
                    members = [done(r, 120) for r in mine]
                yield Group("tp", "tp", members, key=("tp", stage, replica), in_order=True)
            for slot in slots:
                members = [
                    pending(r, 10, 5.0) if replica != late_replica else done(r, 9)
                    for replica in replicas
                    for r in [self.rank(stage, replica, slot)]
                ]
                yield Group("dp", "dp", members, key=("dp", stage, slot), in_order=True)
        for replica in replicas:
            is_cut = replica == late_replica
            for slot in slots:
                line = [self.rank(stage, replica, slot) for stage in stages]
                members = [
                    Member(r, 0, 0, event=receiving(line, stage, late_stage if is_cut else stage))
                    for stage, r in enumerate(line)
                ]
                yield Group("pp", "pp", members, key=("pp", replica, slot), in_order=True)


def done(rank: int, seq: int) -> Member:
    return Member(rank, seq, seq, event=QUIET)


def pending(rank: int, seq: int, time_s: float) -> Member:
    entry = [seq, "all_reduce|[1024]|BFloat16", time_s, False, 600.0, "scheduled", "train.py:1 step", None]
    return Member(rank, seq, seq - 1, event=replace(QUIET, rank=rank, data={"entries": [entry]}))


def receiving(line: list[int], stage: int, late: int) -> Event:
    """40 transfers each way, and one more from the neighbour on the side of the stage that is late."""
    told: list[dict[str, object]] = []
    for other in {stage - 1, stage + 1} & set(range(PIPE)):
        is_open = (other - stage) * (late - stage) > 0
        first = [41, "recv|[1024]|BFloat16", 4.0, False, 600.0, "scheduled", "train.py:2 recv", None]
        received: dict[str, object] = {"op": "recv", "src": other, "dst": stage, "launched": 40 + is_open}
        told.append(received | {"open": int(is_open), "first": first if is_open else None})
        told.append({"op": "send", "src": stage, "dst": other, "launched": 40, "open": 0})
    return replace(QUIET, rank=line[stage], data={"ranks": line, "transfers": told, "entries": []})


def roots(groups: list[Group], num_ranks: int) -> set[int]:
    dumps = Dumps({}, dict.fromkeys(range(num_ranks), QUIET), set())
    waits = ordered([*wait_for(groups), *transfers(groups, dumps)], dumps.overfull())
    facts = of_look(Look("foreign", None, []), waits, Evidence([], num_ranks=num_ranks))
    found = {rank for f in facts if f.kind in ("collective.awaited", "collective.behind") for rank in f.ranks}
    return found.union(*circles(waits), *(ranks(w.waiting) for w in waits if w.is_all_there()))


def main(sizes: Sequence[int]) -> int:
    failed, per_rank = 0, dict[int, float]()
    print("| ranks | groups | seconds | microseconds a rank | roots |", file=sys.stderr)
    print("|---|---|---|---|---|", file=sys.stderr)
    for num in sizes:
        job = Job(num // (PIPE * TENSOR), late=num // 3)
        groups = list(job.groups())
        gc.collect()
        gc.freeze()  # what is read stays
        seconds = []
        for _ in range(2):
            begun = time.perf_counter()
            found = roots(groups, num)
            seconds.append(time.perf_counter() - begun)
        per_rank[num] = min(seconds) / num
        told = f"| {num} | {len(groups)} | {min(seconds):.2f} | {1e6 * per_rank[num]:.1f} | {sorted(found)} |"
        print(told, file=sys.stderr, flush=True)
        if num in BARS_S:
            failed |= row(
                f"wait-for graph of {num} ranks in {len(groups)} groups, frontiers in, roots out",
                f"{min(seconds):.2f} s, {'exact' if found == {job.late} else 'WRONG ROOTS'}",
                f"at most {BARS_S[num]:.0f} s", min(seconds) <= BARS_S[num] and found == {job.late},
            )  # fmt: skip
    small, large = BARS_S
    if not per_rank.keys() >= BARS_S.keys():
        return failed
    growth = per_rank[large] / per_rank[small]
    failed |= row(
        f"time a rank at {large} ranks against {small}", f"{growth:.2f} x", "at most 2 x", growth <= 2
    )
    return failed


if __name__ == "__main__":
    sys.exit(main([int(word) for word in sys.argv[1:]] or SIZES))

"""The rungs below the stacks: what a rank's workers do, and whether it holds its interpreter (GIL)."""

import json
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from probes import control, procfs, stacks
from probes.watching import process, workers
from probes.watching.behind import Behind
from probes.watching.rank import Rank

STACK_S, GIL_S = 2.0, 1.0
NUM_MORE, BETWEEN_S = 4, 0.08  # samples that must show the same place before a rank is asked anything
MOST_STACKS = 32  # of workers, in one scan

Say = Callable[..., None]  # say(kind, rank, **data)
Write = Callable[[str, Rank, str, bytes], str]  # write(kind, rank, ending, data) -> path


class Place(NamedTuple):
    """Where a thread stands, and whether it runs or holds the interpreter there."""

    frames: tuple[tuple[str, int], ...]
    is_active: bool
    owns_gil: bool


def place(threads: stacks.Threads) -> Place | None:
    """The place of the thread that owns the GIL, else of the main one; None where that has no frame."""
    main = next((one for one in threads if one.get("thread_name") == "MainThread"), None)
    one = next((one for one in threads if one.get("owns_gil")), main)
    if one is None or not (frames := one.get("frames")):
        return None
    where = tuple((str(frame.get("filename")), int(frame.get("line") or 0)) for frame in frames)
    return Place(where, bool(one.get("active")), bool(one.get("owns_gil")))


class Deeper:
    """Of one look: `note` each rank's stacks, then ask what they leave open."""

    def __init__(self, say: Say, write: Write) -> None:
        self.say, self.write = say, write
        self.parents: set[int] = set()  # ranks that wait for processes of their own
        self.seen: dict[int, Place] = {}  # where each rank stood in the first scan
        self.still: set[int] = set()  # ranks that stood there in both, awake or with the GIL
        self.dumb: set[int] = set()  # workers whose stack was refused

    def note(self, rank: int, threads: stacks.Threads, scan: int) -> None:
        """Keep what decides about the rungs that follow."""
        if workers.are_awaited(threads):
            self.parents.add(rank)
        found = place(threads)
        before = self.seen.setdefault(rank, found) if found else None
        if scan == 1 or found is None or before is None or before.frames != found.frames:
            return
        if found.owns_gil or found.is_active:
            self.still.add(rank)

    def workers(self, ranks: list[Rank], scan: int, time_dir: str, ends: Behind) -> None:
        """States and stacks of the workers of ranks that wait for theirs."""
        waiting = {one.pid: one for one in ranks if one.rank in self.parents}
        if not waiting:
            return
        owner = {pid: waiting[up] for up, found in workers.below(waiting).items() for pid in found}
        asked = [pid for pid in owner if pid not in self.dumb][:MOST_STACKS]
        for pid, threads in stacks.from_outside({pid: pid for pid in asked}, STACK_S).items():
            rank = owner[pid].rank
            if isinstance(threads, str):
                self.dumb.add(pid)
                self.say("worker.stack_refused", rank, worker=pid, reason=threads, scan=scan)
                continue
            path = self.write("stacks", owner[pid], f"worker-{pid}.json", document(pid, rank, threads))
            self.say("worker.stack_dumped", rank, worker=pid, path=path, dir=time_dir, scan=scan)
        for pid, one in owner.items():
            if (data := process.describe(pid)) is not None:
                data["behind"] = ends.of(pid)
                self.say("worker.dumped", one.rank, worker=pid, dir=time_dir, scan=scan, **data)

    def may_hold(self, ranks: list[Rank]) -> list[Rank]:
        """Ranks that may hold their interpreter: they stand still with it, in some more samples too.

        Who works in Python moves on within those, and is not asked: a request that meets a rank on its way
        out would abort it.
        """
        left = {one.rank: one for one in ranks if one.rank in self.still}
        for _ in range(NUM_MORE):
            time.sleep(BETWEEN_S if left else 0.0)
            for rank, told in stacks.from_outside({r: one.pid for r, one in left.items()}, STACK_S).items():
                found = None if isinstance(told, str) else place(told)
                if found is None or found.frames != self.seen[rank].frames:
                    del left[rank]
        return [one for one in left.values() if (now := procfs.stat(one.pid)) and now.state != "D"]

    def interpreters(self, sockets: Mapping[int, str], time_dir: str) -> None:
        """Ask ranks for their interpreter: the very last rung.

        The control server's own threads answer all but this request, which needs the GIL: a Python loop
        gives it away within 5 ms. The request costs such a rank one millisecond, and waits in any other.
        """
        asked = control.post_many({rank: (path, "dump_traceback") for rank, path in sockets.items()}, GIL_S)
        for rank, reply in asked.items():
            if not reply.error or reply.seconds >= GIL_S:
                data = {"held": bool(reply.error), "waited_s": round(reply.seconds, 3)}
                self.say("interpreter.asked", rank, dir=time_dir, scan=2, **data)


def document(pid: int, rank: int, threads: stacks.Threads) -> bytes:
    """What the stack file of a worker holds."""
    head = {"version": 1, "via": "py_spy", "pid": pid, "rank": rank, "worker": True, "time": time.time()}
    return json.dumps(head | {"threads": threads}).encode()

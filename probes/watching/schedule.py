"""Flight recorder dumps at set times, for what is asked after the job is over (who is always last?)."""

import os
import shutil
import time

from probes import flight, layout
from probes.files import append_line, atomic_write
from probes.watching.look import Say, new_time_dir
from probes.watching.rank import Rank

_KEEP, _LIMIT_S, _FIRST_S, _LONGEST_S = 3, 1.0, 5.0, 300.0


class Schedule:
    """At 5, 10, 20, 40 ... s after the first group, at most 300 s apart; changes only, the last three."""

    def __init__(self, spool: str) -> None:
        self.spool = spool
        self.attempt, self.started, self.next_s = "", 0.0, _FIRST_S
        self.last: dict[int, dict[str, flight.Frontier]] = {}
        self.kept: list[str] = []
        self.crashed = ""  # the newest attempt in which a rank crashed

    def start(self, attempt: str, now: float) -> None:
        """A group was made; the first one of an attempt starts the clock."""
        if attempt != self.attempt:
            self.attempt, self.started, self.next_s, self.last, self.kept = attempt, now, _FIRST_S, {}, []

    def take(self, ranks: list[Rank], now: float, say: Say) -> None:
        """Dump if it is time and something changed."""
        if not self.attempt or now - self.started < self.next_s:
            return
        while self.next_s <= now - self.started:
            self.next_s += min(self.next_s, _LONGEST_S)
        kept = self._dump(ranks, say, "schedule")
        if kept:
            self.kept.append(kept)
        while len(self.kept) > _KEEP:
            self._drop(self.kept.pop(0))

    def at_crash(self, ranks: list[Rank], say: Say) -> None:
        """What the others were at when the first one crashed: they are ended within a tenth of a second."""
        if self.attempt != self.crashed:
            self.crashed = self.attempt
            self._dump(ranks, say, "crashed")

    def _dump(self, ranks: list[Rank], say: Say, cause: str) -> str:
        """Ask all, and keep what they answer; the folder's name, empty where nothing was new."""
        begun = time.monotonic()
        here = [one for one in ranks if one.attempt == self.attempt and one.state not in "TtZX"]
        sockets = {one.rank: one.socket for one in here if one.socket}
        bodies = {r: reply.body for r, reply in flight.ask(sockets, _LIMIT_S).items() if not reply.error}
        far = {rank: flight.frontiers(flight.parse(body) or {}) for rank, body in bodies.items()}
        if not any(far.values()) or (far == self.last and cause == "schedule"):
            return ""
        self.last = far
        root = layout.attempt_dir(self.spool, self.attempt)
        time_dir = new_time_dir(root)
        folder = layout.dump_dir(self.spool, self.attempt, "flight", time_dir)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        say("evidence.started", None, time_dir=time_dir, cause=cause)
        for rank, body in bodies.items():
            name = f"{layout.rank_name(rank)}.{flight.ending(body)}"
            atomic_write(os.path.join(folder, name), body)
            path = f"attempts/{self.attempt}/flight/{time_dir}/{name}"
            say("flight.dumped", rank, path=path, dir=time_dir, scan=1)
        say(
            "evidence.taken",
            None,
            time_dir=time_dir,
            time_dirs=[time_dir],
            seconds=round(time.monotonic() - begun, 3),
            ranks=sorted(bodies),
            cause=cause,
        )
        return time_dir

    def _drop(self, time_dir: str) -> None:
        root = layout.attempt_dir(self.spool, self.attempt)
        append_line(os.path.join(root, "dropped.txt"), f"flight/{time_dir}".encode())
        shutil.rmtree(os.path.join(root, "flight", time_dir), ignore_errors=True)

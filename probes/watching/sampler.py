"""One sample of one rank: its state page, its /proc line, now and then its children and compile caches."""

import getpass
import time
from typing import Any

from probes import layout, procfs
from probes.rank_hook.diagnose_rank import state
from probes.watching.cache import Caches, Size, folders
from probes.watching.clock import Clock
from probes.watching.logs import last_line
from probes.watching.rank import Rank
from probes.watching.table import Table, Work

SAMPLE_S = 10.0
CHILDREN_S = 5.0


class Sampler:
    """`update` is cheap and for every tick; `sample` is what an event says."""

    def __init__(self, spool: str, table: Table) -> None:
        self.spool, self.table = spool, table
        self.caches = Caches()
        self.looked: dict[int, tuple[float, Work, Size | None]] = {}  # by pid
        try:
            self.user = getpass.getuser()
        except (OSError, KeyError):
            self.user = "root"

    def update(self, one: Rank) -> list[tuple[str, float]]:
        """Read page and stat; answers what moved since the last call: (step | phase, monotonic s)."""
        moved: list[tuple[str, float]] = []
        clock = Clock(time.monotonic(), time.time())
        page = state.read(layout.state_path(self.spool, one.attempt, one.rank)) if one.how == "hook" else None
        if page is not None and page.pid in (one.pid, one.inner):
            steps, changes = page.num_steps - one.num_steps, page.num_progress - one.num_progress
            if steps > 0:
                moved.append(("step", clock.place(page.last_step, one.seen)))
            if changes > steps:
                moved.append(("phase", clock.place(page.last_progress, one.seen)))
            if changes > 0:
                one.waiting = ""
            one.num_steps, one.num_progress = page.num_steps, page.num_progress
            one.phase, one.usr2_taken = page.phase, page.usr2_taken
            if page.phase_since != one.phase_told:
                one.phase_told, one.phase_since = page.phase_since, clock.place(page.phase_since, one.seen)
            one.seen = clock.now
        now = procfs.stat(one.pid)
        if now is not None:
            one.stopped_ticks = one.stopped_ticks + 1 if now.state == "T" else 0
            one.stat, one.state = now, now.state
        return moved

    def sample(self, one: Rank, silent_s: float) -> dict[str, Any] | None:
        """The data of `rank.sampled`; None before the first update."""
        stat, now = one.stat, time.monotonic()
        if stat is None:
            return None
        work, size = self._around(one, now)
        interval = now - (one.sampled or now)
        data = {
            "pid": one.pid,
            "state": stat.state,
            "cpu_s": round(stat.cpu_s, 2),
            "rss": stat.rss,
            "num_threads": stat.num_threads,
            "num_fds": procfs.num_fds(one.pid),
            "max_fds": procfs.max_fds(one.pid),
            "busy_s": round(stat.cpu_s - one.cpu_s, 2) if one.sampled else 0.0,
            "interval_s": round(interval, 3),
            "num_steps": one.num_steps,
            "waiting": one.waiting,
            "phase": one.phase,
            "phase_s": round(now - one.phase_since, 3) if one.phase else 0.0,
            "silent_s": round(silent_s, 3),
            "cache_files": size and size.files,
            "cache_bytes": size and size.bytes,
            "children": work.names,
            "children_cpu_s": round(work.cpu_s, 2),
            "log_line": last_line(self.spool, one),
        }
        one.sampled, one.cpu_s = now, stat.cpu_s
        return data

    def _around(self, one: Rank, now: float) -> tuple[Work, Size | None]:
        when, work, size = self.looked.get(one.pid, (0.0, Work([], 0.0), None))
        if now - when >= CHILDREN_S * 0.9 and one.stat is not None:
            work = self.table.work(one.pid, one.stat.waited_cpu_s)
            size = self.caches.measure(folders(one.environ, self.user), CHILDREN_S)
            self.looked[one.pid] = (now, work, size)
        return work, size

    def forget(self, pid: int) -> None:
        """A rank has gone."""
        self.looked.pop(pid, None)

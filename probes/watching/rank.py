"""What the agent knows about one rank."""

import os
from dataclasses import dataclass, field
from typing import Any

from probes import layout
from probes.flight import Frontier
from probes.procfs import Stat
from probes.rank_hook.diagnose_rank import state as pages


@dataclass
class Rank:
    """One rank of one attempt: who it is, how to reach it, what was last seen. Times are monotonic s."""

    rank: int
    attempt: str
    pid: int
    start_ticks: int
    how: str  # hook or environment
    local_rank: int
    world_size: int
    socket: str | None = None
    stack_signal: int = 0
    stack_fd: int = -1
    is_provisional: bool = False
    restart_count: int = 0
    pidfd: int = -1
    environ: dict[str, str] = field(default_factory=dict)
    found: float = 0.0
    seen: float = 0.0  # when its page was last read; before that, when the process began
    asked: float = 0.0  # when its flight recorder was last asked
    frontiers: dict[str, Frontier] = field(default_factory=dict)
    waiting: str = ""  # the collective it waits in, when last asked in a silence
    expires: float = 0.0  # when that has used most of its timeout; 0: it waits in none
    num_steps: int = 0
    num_progress: int = 0
    phase: str = ""
    phase_told: float = 0.0  # the same by its own wall clock
    phase_since: float = 0.0
    usr2_taken: bool = False
    state: str = "R"
    stat: Stat | None = None
    said: tuple[object, ...] = ()  # what a change of is said at once
    stopped_ticks: int = 0
    is_stopped: bool = False
    is_ending: bool = False  # its main thread raised: what moves now is its end
    cpu_s: float = 0.0
    sampled: float = 0.0
    faults_file: str = ""  # where its program itself has faulthandler write
    inner: int = 0  # its pid in a namespace of its own: what it calls itself; 0: the same

    def folder(self, spool: str) -> str:
        """Where this attempt's evidence goes."""
        return os.path.join(spool, "attempts", self.attempt)

    def is_leaving(self, spool: str) -> bool:
        """Is it on its way out, or is that not known? What then waits for its interpreter would abort it."""
        return self.is_ending or (page := self.page(spool)) is None or page.is_exiting

    def page(self, spool: str) -> pages.State | None:
        """Its state page, where it keeps one."""
        page = pages.read(layout.state_path(spool, self.attempt, self.rank))
        return page if page and page.pid in (self.pid, self.inner) else None

    def faults(self, spool: str) -> str:
        """Where faulthandler writes in this rank."""
        return self.faults_file or os.path.join(self.folder(spool), "faults", f"rank-{self.rank:05d}.txt")


def from_claim(event: dict[str, Any]) -> Rank | None:
    """A rank from its `rank.claimed` event; None where the event lacks what is needed."""
    try:
        return Rank(
            int(event["rank"]),
            str(event.get("attempt") or "1"),
            int(event["pid"]),
            int(event.get("start_ticks") or 0),
            "hook",
            int(event["rank"] if event.get("local_rank") is None else event["local_rank"]),
            int(event.get("world_size") or 0),
            event.get("socket") or None,
            int(event.get("stack_signal") or 0),
            int(event.get("stack_fd", -1)),
            bool(event.get("provisional")),
            int(event.get("restart_count") or 0),
        )
    except (KeyError, TypeError, ValueError):
        return None

"""What is known of the ranks of a running job, from its event lines. Pure."""

from collections.abc import Mapping

from diagnose.clusters import FIRST, Clusters
from diagnose.model import named
from diagnose.progress import Progress, number
from diagnose.render.rows import clock, count

Event = Mapping[str, object]
OWN = {"rank.died", "rank.stopped", "rank.continued"}  # what the agent says that a rank did
SILENT_S = 10.0  # a sample's age: less is no silence
COMPILERS_S = 5.0
STALE_S = 30.0  # samples come every ten seconds


class Ranks:
    """Feed it event lines, of any writer."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.attempt: str | None = None
        self.clusters = Clusters()
        self.found = 0.0
        self.samples: dict[int, Event] = {}
        self.compilers: dict[int, tuple[float, float, float]] = {}  # when, CPU seconds, their share since
        self.pids: dict[int, int] = {}
        self.last: dict[int, Event] = {}  # the newest event of the rank itself
        self.job: Event = {}  # the newest that was said of the job's progress
        self.num_ranks, self.newest = 0, 0.0

    def feed(self, event: Event) -> None:
        """Take in one event line."""
        kind, rank, time = str(event.get("event")), event.get("rank"), number(event.get("time"))
        if kind in FIRST:
            self.clusters.feed(str(event.get("attempt")), event)
        if kind in {"job.stalled", "job.progressed", "job.unwatched"}:
            self.job = event
        elif isinstance(rank, int) and not self._is_of_now(event, kind, time):
            return
        self.newest = max(self.newest, time)
        self.progress.feed(event)
        if not isinstance(rank, int):
            return
        if kind == "rank.sampled":
            self.samples[rank] = event
            self._compilers(rank, time, number(event.get("children_cpu_s")))
        if kind == "rank.died":
            self.samples[rank] = {**self.sample(rank), "num_steps": event.get("num_steps")}
        if kind == "rank.found":
            self.num_ranks = max(self.num_ranks, int(number(event.get("world_size"))))
        if kind in {"rank.sampled", "rank.found"} and isinstance(pid := event.get("pid"), int):
            self.pids[rank] = pid
        if event.get("source") == "rank_hook" or kind in OWN:
            self.last[rank] = event

    def _compilers(self, rank: int, time: float, cpu_s: float) -> None:
        """The agent measures compiler children every five seconds, not with every sample."""
        when, before, _ = self.compilers.get(rank, (time, cpu_s, 0.0))
        if rank not in self.compilers or time - when >= COMPILERS_S:
            share = max(0.0, cpu_s - before) / (time - when) if time > when else 0.0
            self.compilers[rank] = (time, cpu_s, share)

    def sample(self, rank: int) -> Event:
        """Its newest sample; empty where it has none."""
        return self.samples.get(rank, {})

    def busy(self, rank: int) -> float | None:
        """Its share of a processor in percent, compiler children included; None before it was measured."""
        sample = self.sample(rank)
        interval = number(sample.get("interval_s"))
        children = self.compilers.get(rank, (0.0, 0.0, 0.0))[2]
        return 100 * (number(sample.get("busy_s")) / interval + children) if interval > 0 else None

    def _is_of_now(self, event: Event, kind: str, time: float) -> bool:
        """Whether it is of the newest attempt; a rank found in a later one begins that."""
        attempt = self.clusters.attempt(str(event.get("attempt")))
        is_first = self.attempt is None
        if is_first or (kind == "rank.found" and attempt != self.attempt and time >= self.found):
            self.attempt, self.found, self.job = attempt, time, {}
            self.num_ranks = 0
            for known in (self.samples, self.compilers, self.pids, self.last, self.progress.ranks):
                known.clear()
        return attempt == self.attempt

    def silent_s(self, rank: int, now: float) -> float:
        """Without any progress so long, as far as one knows; 0 where it moves, or is gone."""
        if self.is_dead(rank):
            return 0.0
        told = self.job if rank in self._stalled() else self.sample(rank)
        silent = number(told.get("silent_s"))
        return silent + now - number(told.get("time")) if silent >= SILENT_S or told is self.job else 0.0

    def _stalled(self) -> list[int]:
        told = self.job.get("ranks") if self.job.get("event") == "job.stalled" else None
        return [rank for rank in told if isinstance(rank, int)] if isinstance(told, list) else []

    def is_dead(self, rank: int) -> bool:
        return self.last.get(rank, {}).get("event") == "rank.died"

    def size(self) -> str:
        """`8 ranks`, or `7 of 8 ranks` where not all were seen."""
        num = len(self.progress.ranks)
        if num < self.num_ranks:
            return f"{num} of {count(self.num_ranks, 'rank')}"
        return count(num, "rank") if num else ""

    def stale_s(self, now: float) -> float:
        """How old the newest sample of the living is, where that is too old; else 0."""
        times = [number(s.get("time")) for rank, s in self.samples.items() if not self.is_dead(rank)]
        age = now - max(times) if times else 0.0
        return age if age > STALE_S else 0.0

    def status(self, now: float) -> str:
        """Whether the job moves, where that is worth a line."""
        since = now - number(self.job.get("time"))
        match self.job.get("event"):
            case "job.stalled":
                silent = clock(number(self.job.get("silent_s")) + since)
                return f"no progress of {named(self._stalled())} for {silent}"
            case "job.progressed":
                return f"it moves again, since {clock(since)}"
            case "job.unwatched":
                return "no step, phase or collective was ever seen: silence cannot be told from work"
        return ""

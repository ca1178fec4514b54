"""When does a silence count as a stall? Times in, decisions out; no clock and no file is read here."""

from typing import NamedTuple

_SLACK_S = 2.0  # ranks fall silent within a tick of each other: one look shows them all


class Stall(NamedTuple):
    """Ranks without progress for `silent_s`; `signal` is the last kind of progress that was seen anywhere."""

    ranks: list[int]
    silent_s: float
    threshold_s: float
    signal: str


class Progress(NamedTuple):
    """The first move after a stall."""

    ranks: list[int]
    after_s: float
    moved: str


class Silence:
    """Keeps each rank's last progress, calls a stall once, and again at 2, 4, 8 ... times the threshold."""

    def __init__(self, stall_after_s: float, stall_after_first_s: float) -> None:
        self.after_s, self.first_s = stall_after_s, stall_after_first_s
        self.last: dict[int, float] = {}
        self.kind: dict[int, str] = {}
        self.signals: list[str] = []
        self.stalled: dict[int, float] = {}  # rank: its last progress when the stall was called
        self.rearmed = 0.0
        self.next_look_s = 0.0
        self.is_long = False  # every rank is in a phase that may take as long as a first step

    def add(self, rank: int, now: float) -> None:
        """A rank has come up, or come up again."""
        self.last[rank] = now
        self.stalled.pop(rank, None)

    def drop(self, rank: int) -> None:
        """A rank has gone: it is silent no more."""
        self.last.pop(rank, None)
        self.stalled.pop(rank, None)

    def moved(self, rank: int, when: float, kind: str) -> None:
        """`kind` is step, collective or phase."""
        if rank in self.last and when > self.last[rank]:
            self.last[rank], self.kind[rank] = when, kind
        if kind not in self.signals:
            self.signals.append(kind)

    @property
    def threshold_s(self) -> float:
        """The first step may take longer than any later one, and so may a compile of all ranks after it."""
        has_begun = {"step", "collective"} & set(self.signals)
        if has_begun and self.is_long:
            return max(self.after_s, self.first_s)
        return self.after_s if has_begun else self.first_s

    def silent_s(self, rank: int, now: float) -> float:
        """Seconds since this rank's last progress."""
        return max(0.0, now - self.last.get(rank, now))

    def longest_s(self, now: float) -> float:
        """The longest silence that counts."""
        return max((now - max(last, self.rearmed) for last in self.last.values()), default=0.0)

    def check(self, now: float) -> Stall | Progress | None:
        """What is to be said now, at most one thing a call."""
        if self.stalled and (back := [r for r, last in self.stalled.items() if self.last[r] > last]):
            after = max(now - self.stalled[rank] for rank in back)
            self.stalled, self.rearmed = {}, now
            return Progress(sorted(back), after, self.kind.get(back[0], "phase"))
        longest = self.longest_s(now)
        if not self.signals or longest < self.threshold_s:
            return None
        silent = [
            r for r, t in self.last.items() if now - max(t, self.rearmed) >= self.threshold_s - _SLACK_S
        ]
        if not self.stalled:
            self.next_look_s = self.threshold_s
        if longest < self.next_look_s and set(silent) <= set(self.stalled):
            return None
        self.next_look_s = max(self.next_look_s, 2 * longest)
        self.stalled = {rank: self.last[rank] for rank in silent}
        silent_s = max(now - self.last[rank] for rank in silent)
        return Stall(sorted(silent), silent_s, self.threshold_s, self.signals[-1])

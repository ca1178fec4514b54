"""Is the job moving? Steps and phases come from state pages; collectives are asked for only in a silence.

A collective that has used most of its timeout is looked at before that: afterwards nothing is left
of the hang.
"""

import time
from collections.abc import Callable

from probes import flight
from probes.watching.clock import Clock
from probes.watching.progress import Progress, Silence, Stall
from probes.watching.rank import Rank

_QUERY_S, _LONGEST_PAUSE_S, _SHORTEST_PAUSE_S = 1.0, 15.0, 2.0
_EXPIRING = 0.7  # of a timeout
# Phases of all ranks at once that have the first step's patience; one rank's alone hold the others up.
_LONG = {"compile", "backward_compile", "cudagraph", "eval", "checkpoint", "load"}
_SURE_S = 1.0  # by then a rank whose collective failed has said so

Say = Callable[..., None]  # say(attempt, rank, kind, **data)


class Stalls:
    """The newest attempt. `after_s` is the silence that counts, `first_s` the same before the first step."""

    def __init__(self, attempt: str, after_s: float, first_s: float, say: Say) -> None:
        self.attempt, self.after_s, self.first_s, self.say = attempt, after_s, first_s, say
        self.silence = Silence(after_s, first_s)
        self.shortest_s = max(_SHORTEST_PAUSE_S, after_s / 4)
        self.pause_s, self.due, self.asked = self.shortest_s, 0.0, 0.0
        self.is_unwatched = False
        self.expiring: dict[int, float] = {}  # rank: its last progress when it was looked at for its timeout
        # rank: when its collective ended, and when to believe it
        self.unsure: dict[int, tuple[float, float]] = {}

    def follow(self, ranks: list[Rank]) -> None:
        """Take up new ranks, drop gone ones; a new attempt starts from nothing."""
        if ranks and ranks[0].attempt != self.attempt:
            self.attempt, self.silence = ranks[0].attempt, Silence(self.after_s, self.first_s)
            self.expiring = {}
        here = {one.rank: one for one in ranks}
        for rank in [rank for rank in self.silence.last if rank not in here]:
            self.silence.drop(rank)
        for rank, one in here.items():
            if rank not in self.silence.last:
                self.silence.add(rank, one.found)

    def limit(self, timeout_s: object) -> None:
        """A group was made: its collectives end after so long, and are to be looked at before."""
        if isinstance(timeout_s, int | float) and timeout_s > 0:
            asked_s = max(_SHORTEST_PAUSE_S, timeout_s / 4)
            self.shortest_s = min(self.shortest_s, asked_s)
            self.pause_s = min(self.pause_s, self.shortest_s)

    def moved(self, rank: int, when: float, kind: str) -> None:
        """A state page says that something moved."""
        self.silence.moved(rank, when, kind)
        self.pause_s, self.due = self.shortest_s, 0.0

    def watch(self, ranks: list[Rank], now: float) -> str:
        """Ask what must be asked, say what is to be said; the cause of a look, where one is wanted.

        `now` is monotonic.
        """
        self._believe(ranks, now)
        self.silence.is_long = bool(ranks) and all(one.phase in _LONG for one in ranks)
        longest, silence = self.silence.longest_s(now), self.silence
        is_near = bool(silence.signals) and not silence.stalled and longest >= silence.threshold_s
        is_near = is_near or bool(self._expire(ranks, now))
        if longest >= self.shortest_s and (now >= self.due or (is_near and now - self.asked >= 1.0)):
            self._ask(ranks, now)
        if self.unsure and not silence.stalled:
            return ""  # it may have gone on
        told = silence.check(now)
        if isinstance(told, Stall):
            self.expiring = {}
            self.say(
                self.attempt,
                None,
                "job.stalled",
                silent_s=round(told.silent_s, 3),
                stall_after_s=told.threshold_s,
                ranks=told.ranks,
                signal=told.signal,
            )
            return "stalled"
        if isinstance(told, Progress):
            after_s = round(told.after_s, 3)
            self.say(
                self.attempt, None, "job.progressed", after_s=after_s, moved=told.moved, ranks=told.ranks
            )
        elif longest >= self.first_s and not silence.signals and not self.is_unwatched:
            self.is_unwatched = True
            self.say(self.attempt, None, "job.unwatched", missing=["step", "collective", "phase"])
        return self._warn(ranks, now)

    def _expire(self, ranks: list[Rank], now: float) -> list[Rank]:
        """Ranks whose open collective has used most of its timeout, as they told when last asked."""
        if self.silence.stalled or self.expiring:
            return []
        return [one for one in ranks if one.expires and now >= one.expires and not one.is_ending]

    def _warn(self, ranks: list[Rank], now: float) -> str:
        """Say once that collectives are about to time out; `expiring` where they are to be looked at."""
        last = self.silence.last
        if back := sorted(rank for rank, then in self.expiring.items() if last.get(rank, then) > then):
            after_s = round(max(now - self.expiring[rank] for rank in back), 3)
            self.expiring = {}
            self.say(self.attempt, None, "job.progressed", after_s=after_s, moved="collective", ranks=back)
        near = self._expire(ranks, now)
        if not near or self.asked < max(one.expires for one in near):
            return ""
        self.expiring = {one.rank: last[one.rank] for one in near if one.rank in last}
        silent_s = round(max(self.silence.silent_s(one.rank, now) for one in near), 3)
        self.say(
            self.attempt, None, "job.expiring", silent_s=silent_s, share=_EXPIRING, ranks=[*self.expiring]
        )
        return "expiring"

    def _believe(self, ranks: list[Rank], now: float) -> None:
        """A collective that ended was a move, unless its rank raises at once: then it had failed."""
        for one in ranks:
            when, due = self.unsure.get(one.rank, (0.0, now + 1.0))
            if one.is_ending or now >= due:
                self.unsure.pop(one.rank, None)
                if not one.is_ending:
                    self.silence.moved(one.rank, when, "collective")
        self.unsure = {rank: told for rank, told in self.unsure.items() if rank in self.silence.last}

    def _ask(self, ranks: list[Rank], now: float) -> None:
        """Has a collective moved? Asked ever more rarely while none has."""
        sockets = {one.rank: one.socket for one in ranks if one.socket and one.state not in "TtZX"}
        replies, did_move = flight.ask(sockets, _QUERY_S), False
        clock = Clock(time.monotonic(), time.time())
        for one in ranks:
            if one.rank not in replies or replies[one.rank].error:
                continue
            dump = flight.parse(replies[one.rank].body) or {}
            far, one.waiting = flight.frontiers(dump), flight.waiting_in(dump)
            due = flight.expires_s(dump, _EXPIRING)
            one.expires = clock.now + due - clock.wall if due else 0.0
            when = flight.progress_s(one.frontiers, far, clock.wall)
            launched = flight.has_launched(one.frontiers, far)
            since, one.asked, one.frontiers = one.asked or one.found, clock.now, far
            if when is not None and not one.is_ending:  # gloo calls a failed collective retired, too
                when = clock.place(when, since)
                if launched:
                    self.silence.moved(one.rank, when, "collective")
                else:
                    self.unsure[one.rank] = when, now + _SURE_S
                did_move = True
        longer = min(self.pause_s * 1.5, max(_LONGEST_PAUSE_S, self.shortest_s))
        self.pause_s = self.shortest_s if did_move else longer
        self.asked, self.due = now, now + self.pause_s

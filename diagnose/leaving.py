"""Whether others went on without a rank that left by itself, and needed it. Pure."""

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from signal import SIGKILL, SIGTERM

from diagnose.endings import ABORTS, End
from diagnose.looks import decisive
from diagnose.losses import ended_well, is_loss, speaker
from diagnose.model import Event, Evidence
from diagnose.raisings import parted
from diagnose.resuming import resumed
from diagnose.waitgraph import stuck
from diagnose.waiting import ranks

ENDING_S = 5.0  # a rank's connections may close this long before its process is gone
GRACE_S = 25.0  # a launcher gives its ranks half a minute between its two signals
TOGETHER_S = 1.0  # ranks that leave within this of each other leave together


class Leaving:
    """One job's ends, and what each of them is held against; everything is read once."""

    def __init__(self, evidence: Evidence, ends: list[End]) -> None:
        self.evidence, self.ends = evidence, ends

    @cached_property
    def raised(self) -> set[int]:
        """Ranks that an exception of their own ended."""
        return set(parted(self.evidence)[0])

    @cached_property
    def losses(self) -> list[Event]:
        """What ranks said of a peer or a collective that they lost."""
        return [event for event in self.evidence.events if is_loss(event)]

    @cached_property
    def victims(self) -> set[int]:
        """Ranks that lost a peer or a collective: an exit of theirs follows from that."""
        return {rank for event in self.losses if (rank := speaker(event)) is not None}

    @cached_property
    def swept(self) -> set[int]:
        return closings(self.evidence)

    def was_swept_beside(self, end: End) -> bool:
        """Whether the launcher ended other processes, whichever ranks they were."""
        pids = {e.data.get("pid") for e in self.evidence.of("launcher.closing_sent")}
        return end.pid is not None and bool(pids) and end.pid not in pids

    @cached_property
    def awaited(self) -> set[int] | None:
        """Whom the others wait for, as the decisive look has it; None where it shows no wait."""
        waits = stuck(decisive(self.evidence), self.evidence)
        return {rank for w in waits for rank in ranks([*w.awaited, *w.behind])} if waits else None

    @cached_property
    def calls(self) -> list[Event]:
        told = [*self.evidence.of("job.stalled"), *resumed(self.evidence.events)]
        return sorted(told, key=lambda event: event.time or 0.0)

    def early(self, end: End) -> bool:
        """Whether others went on without this rank, and needed it.

        Code 0 needs a sign of that: an error of theirs, or a stall in which they wait for it. Another code
        needs only that they went on.
        """
        if end.time is None:  # a launcher's table alone: who lost nobody, while others did
            losers = self.victims | self.swept
            others = losers - {end.rank} or self.was_swept_beside(end) or is_named_first(end)
            return bool(end.code and others) and end.rank not in losers
        gone = {e.rank for e in self.ends if e.time is not None and e.time <= end.time}
        still = set(self.evidence.ranks) - gone - {end.rank}
        since = end.time - ENDING_S
        victims = {e.rank for e in self.losses if e.rank in still and (e.time is None or e.time >= since)}
        if end.code:
            if self.victims:  # they may be gone before it: its connections close first
                return end.rank not in self.victims
            near = end.time + TOGETHER_S
            soon = {e.rank for e in self.ends if e.code and e.time is not None and e.time <= near}
            return bool(still - soon) or (not still and self.was_swept_beside(end))
        if ended_well(self.evidence) or (self.awaited is not None and end.rank not in self.awaited):
            return False
        calls = [e for e in self.calls if (e.time or 0.0) > end.time]
        stalled = bool(still and self.awaited and calls) and calls[-1].kind == "job.stalled"
        return bool(victims) or stalled

    def is_own(self, end: End) -> bool:
        """Whether its program chose the code: it was seen to end, had lost nobody, and no exception is told.

        Of a rank without a hook an exception in any log may be.
        """
        if end.event.kind != "rank.died" or end.rank in self.victims | self.swept | self.raised:
            return False
        is_hooked = any(e.rank == end.rank for e in self.evidence.of("rank.claimed"))
        return is_hooked or not any(e.rank in (None, end.rank) for e in self.evidence.of("exception.raised"))


def is_named_first(end: End) -> bool:
    """Whether a launcher names it as the one that failed first, and so ended the job."""
    return end.event.kind.startswith("launcher.") and "process" in end.event.data


def closings(evidence: Evidence) -> set[int]:
    """Ranks that the launcher says it ended itself."""
    told = evidence.of("rank.claimed", "rank.found", "launcher.failure_listed")
    pids = {e.data.get("pid"): e.rank for e in told if e.rank is not None}
    sent = (pids.get(e.data.get("pid")) for e in evidence.of("launcher.closing_sent"))
    return {rank for rank in sent if rank is not None} | set(listed_after(evidence))


def listed_after(evidence: Evidence) -> Iterator[int]:
    """Ranks that the launcher's table lists with its own signals, after another had failed by itself.

    Its times are of one clock, whatever that is: SIGTERM comes at once, SIGKILL half a minute later.
    """
    for root in [e for e in evidence.of("launcher.failure_listed") if e.data.get("root")]:
        code, begun = root.data.get("exit_code"), clock(root)
        if begun is None or not isinstance(code, int) or (code < 0 and -code not in ABORTS):
            continue
        for event in evidence.of("launcher.failure_listed"):
            sig, time = event.data.get("signal"), clock(event)
            if event.rank is None or time is None or event.data.get("host") != root.data.get("host"):
                continue
            if (sig == SIGTERM and time >= begun) or (sig == SIGKILL and time >= begun + GRACE_S):
                yield event.rank


def clock(listed: Event) -> float | None:
    """The time in a table's row, as if it were UTC."""
    try:
        return datetime.fromisoformat(str(listed.data.get("time")).replace("_", "T", 1)).timestamp()
    except ValueError:
        return None

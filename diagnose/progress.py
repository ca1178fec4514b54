"""Who is where, in one line, from the agent's events. Pure but for the clock that it is given."""

from collections.abc import Mapping
from typing import NamedTuple

from diagnose.model import fold
from diagnose.render.rows import clock

COMPILE = {"compile": "compiling", "backward_compile": "compiling the backward pass"}


class Seen(NamedTuple):
    """What the last event told of one rank."""

    words: str
    since: float  # what the clock in the line counts from; 0: no clock
    tail: str = ""
    step: int = 0


class Progress:
    """Feed it event lines; `line` says where the ranks are, `kind` the same without its numbers."""

    def __init__(self, silent_s: float = 20.0) -> None:
        self.ranks: dict[int, Seen] = {}
        self.silent_s = silent_s
        self.attempt = ""

    def feed(self, event: Mapping[str, object]) -> None:
        """Take in one event line of the agent."""
        rank, kind = event.get("rank"), event.get("event")
        if kind == "job.stalled" and isinstance(stalled := event.get("ranks"), list):
            since = number(event.get("time")) - number(event.get("silent_s"))
            words = {r: self.ranks[r].words for r in stalled if isinstance(r, int) and r in self.ranks}
            moving = {r for r, said in words.items() if said in {"at step", "before the first step"}}
            self.ranks |= {r: Seen("silent", since) for r in moving}
        if not isinstance(rank, int):
            return
        if kind == "rank.found" and event.get("attempt") != self.attempt:
            self.attempt = str(event.get("attempt"))
            self.ranks.clear()
        if kind == "rank.found":
            self.ranks[rank] = Seen("starting", 0.0)
        elif kind == "rank.died":
            code, signum = event.get("exit_code"), event.get("signal")
            how = f"died by signal {signum}" if signum else f"exited with {code}" if code else "ended"
            self.ranks[rank] = Seen(how, 0.0)
        elif kind == "rank.sampled":
            self.ranks[rank] = self.sampled(event)

    def sampled(self, event: Mapping[str, object]) -> Seen:
        now, phase = number(event.get("time")), str(event.get("phase") or "")
        steps, silent = int(number(event.get("num_steps"))), number(event.get("silent_s"))
        children = event.get("children")
        alive = ", ".join(sorted({str(c) for c in children})[:3]) if isinstance(children, list) else ""
        tail = f", {alive} alive" if alive else ""
        if event.get("state") == "T":
            return Seen("stopped", 0.0)
        if phase:
            return Seen(COMPILE.get(phase, f"in {phase}"), now - number(event.get("phase_s")), tail)
        if waiting := event.get("waiting"):
            return Seen(f"in {waiting}", now - silent)
        if silent >= self.silent_s:
            return Seen("silent", now - silent, tail)
        if steps:
            return Seen("at step", 0.0, step=steps)
        return Seen("before the first step", 0.0)

    def groups(self) -> list[tuple[str, list[int]]]:
        """Ranks that do the same, the largest group first."""
        found: dict[str, list[int]] = {}
        for rank, seen in sorted(self.ranks.items()):
            found.setdefault(seen.words, []).append(rank)
        return sorted(found.items(), key=lambda pair: -len(pair[1]))

    def kind(self) -> str:
        """What changes only when a rank does something else."""
        return ", ".join(f"{fold(ranks)} {words}" for words, ranks in self.groups())

    def line(self, now: float) -> str:
        """`7 ranks at step 12, rank 3 compiling 00:41, g++ alive`."""
        return ", ".join(self.part(words, ranks, now) for words, ranks in self.groups())

    def part(self, words: str, ranks: list[int], now: float) -> str:
        who = f"rank {ranks[0]}" if len(ranks) == 1 else f"{len(ranks)} ranks"
        seen = [self.ranks[rank] for rank in ranks]
        steps = [one.step for one in seen if one.step]
        if steps:
            low, high = min(steps), max(steps)
            words += f" {low}" if low == high else f"s {low}-{high}"
        since = min(one.since for one in seen)
        tail = next((one.tail for one in seen if one.tail), "")
        return f"{who} {words}" + (f" {clock(now - since)}" if since else "") + tail


def number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0

"""Watch one local run from outside: its events, read where they are newest, as lines for a screen."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click
import msgspec

from diagnose import follow, manifest
from diagnose.contract import Manifest
from diagnose.journal import Tail
from diagnose.progress import number
from diagnose.ranks import Ranks
from diagnose.ranktable import fit, table
from diagnose.render.page import gist
from diagnose.render.rows import clock, safe
from diagnose.verdict import Verdict

NAP_S = 0.1
MOST_READS = 10_000  # of 4 MB: a file that grows faster than it is read must not hold us


class NotARun(Exception):
    """The path is no run directory."""


class Watch:
    """Looks at a run, changes nothing of it. Raises NotARun."""

    def __init__(self, run: Path) -> None:
        self.run, self.source, self.ranks = run, run, Ranks()
        self.tail: Tail | None = None
        self.manifest = self._manifest()

    def _manifest(self) -> Manifest:
        if (found := manifest.read(self.run)) is None:
            raise NotARun(f"{self.run}: no run directory (it has no manifest that can be read)")
        return found

    def look(self) -> None:
        """Read what is new: in the spool while that is there, else in the run directory."""
        with suppress(NotARun):
            self.manifest = self._manifest()
        source = (follow.spool_of(self.run, self.manifest) if self.is_here else None) or self.run
        if self.tail is None or source != self.source:
            self.source, self.ranks = source, Ranks()
            self.tail = Tail(source / "attempts", "*/events/*.jsonl")
        for _ in range(MOST_READS):
            if not (events := self.tail.read()):
                break
            for event in sorted(events, key=lambda event: number(event.get("time"))):
                self.ranks.feed(event)

    @property
    def is_here(self) -> bool:
        return self.manifest.node in {"", socket.gethostname()}

    def is_over(self) -> str:
        """Why nothing more will come; empty while something may."""
        last = self.manifest.transitions[-1] if self.manifest.transitions else None
        if self.manifest.state in {*manifest.FINAL, "lost"}:
            why = f": {last.reason}" if last and last.reason else ""
            ago = f" {clock(time.time() - last.time)} ago" if last else ""
            return f"it ended{ago}{why}; this is how it was last seen"
        if gone := follow.gone(self.manifest, socket.gethostname()):
            return f"{gone}; this is how it was last seen (`diagnose show` settles it)"
        return ""

    def lines(self, columns: int, height: int | None = None) -> list[str]:
        """The page, of at most so many lines."""
        head = [click.style(fit(self.title(), columns), bold=True)]
        head += [fit(f"{label:7}{text}", columns) for label, text in self.notes() if text]
        if not self.ranks.progress.ranks:
            return [*head, "", "no rank was seen yet" if not self.is_over() else "no rank was seen"]
        room = None if height is None else height - len(head) - 1
        return [*head, "", *table(self.ranks, columns, room, self._now())]

    def _now(self) -> float:
        """The clock of ages: it stands still where the run does."""
        return (self.is_over() and self.ranks.newest) or time.time()

    def title(self) -> str:
        begun = self.manifest.transitions[0].time if self.manifest.transitions else self._now()
        attempt = self.ranks.attempt
        parts = [
            f"run  {self.manifest.run or self.run.name}",
            f"{self.manifest.state} {clock(self._now() - begun)}",
            self.ranks.size(),
            f"attempt {attempt}" if attempt not in {None, "1"} else "",
        ]
        return "   ".join(part for part in parts if part)

    def notes(self) -> Iterator[tuple[str, str]]:
        over, now = self.is_over(), self._now()
        yield "over", over
        if not self.is_here:
            yield "from", f"it runs on {self.manifest.node}: shown is what has reached this directory"
        elif stale := not over and self.ranks.stale_s(now):
            yield "stale", f"no sample of a living rank for {clock(stale)}: the agent is stuck or gone"
        yield "stall", "" if over else self.ranks.status(now)
        yield "found", self.found()

    def found(self) -> str:
        """The headline of the verdict that lies there."""
        path = self.run / "verdict.json"
        try:
            told = gist(msgspec.json.decode(path.read_bytes(), type=Verdict))
            age = time.time() - path.stat().st_mtime
        except (OSError, msgspec.DecodeError):
            return ""
        return safe("; ".join(told)) + ("" if self.is_over() else f" ({clock(age)} ago)")


def live(watch: Watch, interval_s: float) -> None:
    """Redraw in place on a terminal until the run is over; what stood above it stays."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, end)
    num_lines, before = 0, screen()
    while True:
        watch.look()
        now = screen()
        up = f"\x1b[{num_lines}A\r" if num_lines and now == before else "\x1b[H\x1b[2J" if num_lines else ""
        lines = watch.lines(now.columns - 1, now.lines - 1)[: now.lines - 1]
        num_lines, before = len(lines), now
        text = up + "".join(f"{plain(line)}\x1b[K\n" for line in lines) + "\x1b[J"
        click.echo(text, nl=False, color=True)
        if watch.is_over():
            return
        due = time.monotonic() + interval_s
        while time.monotonic() < due and screen() == before:
            time.sleep(NAP_S)


def screen() -> os.terminal_size:
    """The terminal's size; some pretend to have none."""
    found = os.get_terminal_size(1)
    return found if found.columns and found.lines else os.terminal_size((80, 24))


def plain(line: str) -> str:
    return click.unstyle(line) if os.environ.get("NO_COLOR") else line

"""`diagnose run` from start to end: one loop that passes signals on, shows progress, judges stalls."""

import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import click
from msgspec.structs import replace

from diagnose import reader
from diagnose.journal import Tail, save, sealed
from diagnose.model import fold
from diagnose.playbook import Playbook
from diagnose.progress import Progress
from diagnose.render import terminal as paper
from diagnose.render.page import gist
from diagnose.render.rows import clock, count
from diagnose.surfaces.local import GRACE_S, Local
from diagnose.terminal import Screen
from diagnose.verdict import Verdict, encode

ASKED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PASSED = {signal.SIGUSR1, signal.SIGUSR2}
LOOK_S = 0.5
LINE_S = 30.0  # between lines of progress on a pipe
SEALED_S = 2.0
STOP_S = 30.0  # what --on-stall stop gives the command
BLIND = "no rank has shown a step, a collective or a phase so far (with python -I, -S or -E none can), so no \
stall is called."
NOBODY = "no rank seen yet: no process below the command has loaded torch with our hook, or carries RANK."
MISS_S = 60.0  # a launcher may take its time to start ranks
TWICE_S = 0.5  # two signals within this are one wish (systemd sends SIGTERM and SIGHUP)


class Session:
    """The parent of one run, once the command has been started."""

    def __init__(self, local: Local, screen: Screen, book: Callable[[], Playbook], full: bool) -> None:
        self.local, self.screen, self.book, self.full = local, screen, book, full
        self.progress = Progress(min(20.0, local.job.stall_after_s / 2))
        self.tail = Tail(local.spool / "attempts", "*/events/agent.jsonl")
        self.received: deque[int] = deque()
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.asked = 0
        self.asked_at = self.told_at = 0.0
        self.told = ""
        self.kill_at = self.hurry_at = 0.0
        self.begun, self.is_missed = time.monotonic(), False
        self.is_stalled = self.is_stopping = False
        self.due = False  # a stall was looked at and is not yet judged
        self.judging: threading.Thread | None = None
        self.judged: deque[Verdict | str] = deque()
        self.answer: list[str] = []  # what the last interim verdict came to
        self.errors_read = 0
        self.kept = local.job.run  # where the evidence lies at the end

    # Signals

    def listen(self) -> None:
        """From here on signals only wake the loop."""
        for number in (*ASKED, *PASSED, signal.SIGCHLD, signal.SIGWINCH):
            signal.signal(number, self._note)
            signal.siginterrupt(number, False)
        signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.received.append(number)

    def nap(self, seconds: float) -> None:
        """Sleep until something happens, or so long; signals are dealt with."""
        if select.select([self.reader], [], [], max(0.0, seconds))[0]:
            with suppress(BlockingIOError):
                os.read(self.reader, 4096)
        while self.received:
            self._deal(self.received.popleft())
        now = time.monotonic()
        if self.hurry_at and now >= self.hurry_at:
            self.hurry_at, self.kill_at = 0.0, now + GRACE_S
            self.local.stop("it did not end by itself", everyone=True)
        elif self.kill_at and now >= self.kill_at:
            self.kill_at = now + GRACE_S
            self.local.stop("it did not end by itself", signal.SIGKILL, everyone=True)

    def _deal(self, number: int) -> None:
        if number == signal.SIGWINCH:
            for tee in self.local.tees:
                tee.resize()
        if number not in ASKED:
            self.local.forward(number)
            return
        name, now = signal.Signals(number).name, time.monotonic()
        self.local.journal.say("signal.received", "warning", signal=number, name=name)
        if self.asked and now - self.asked_at < TWICE_S:
            return
        self.asked, self.asked_at = self.asked + 1, now
        if self.asked == 1:
            if number != signal.SIGINT or not self.local.shares_terminal:
                self.local.forward(number)
        elif self.asked == 2:
            self.screen.say(f"diagnose: {name} again: ending all of it\n")
            self.hurry_at = now
        else:
            self.kill_at = now

    # The loop

    def run(self) -> int:
        """Watch until the command has ended; its code (negative: a signal)."""
        while (code := self.local.look()) is None:
            self._follow()
            self.nap(LOOK_S)
        self.kill_at = self.hurry_at = 0.0
        self._follow()
        self.screen.progress("")
        if self.judging:
            self.judging.join(5)
        return code

    def _follow(self) -> None:
        try:
            self._read()
            self._show()
            if self.is_stopping:
                self.local.wake()
        except Exception as error:  # whatever is wrong with us, the job goes on
            self.screen.complain(f"it cannot be followed: {type(error).__name__}: {error}")

    def _read(self) -> None:
        for event in self.tail.read():
            self.progress.feed(event)
            kind = event.get("event")
            self.is_stalled = {"job.stalled": True, "job.progressed": False}.get(str(kind), self.is_stalled)
            if kind == "job.stalled":
                silent, ranks = event.get("silent_s"), event.get("ranks")
                who = (
                    f" of rank{'s' * (len(ranks) > 1)} {fold(ranks)}"
                    if isinstance(ranks, list) and ranks
                    else ""
                )
                seconds = f"{silent:.0f} s" if isinstance(silent, int | float) else "long"
                self.screen.say(f"diagnose: no progress{who} for {seconds}; taking evidence\n")
            elif kind == "job.expiring":
                self.screen.say("diagnose: a collective is about to time out; taking evidence\n")
            elif kind == "job.unwatched":
                self.screen.say(f"diagnose: {BLIND} If it is silent: diagnose attach {self._pid()}\n")
            elif kind == "job.progressed":
                self.screen.say("diagnose: it moves again\n")
            elif kind == "evidence.taken" and event.get("cause") == "stalled":
                self.due = True
        if self.due and not (self.judging and self.judging.is_alive()):
            self.due = False
            self.judging = threading.Thread(target=self._judge, daemon=True)
            self.judging.start()
        while self.judged:
            self._interim(self.judged.popleft())
        self._errors()

    def _judge(self) -> None:
        """In a thread, so that signals are passed on meanwhile."""
        try:
            is_there, end = sealed(self.local.spool, self.local.job.run), time.monotonic() + SEALED_S
            while not is_there() and time.monotonic() < end:
                time.sleep(0.05)
            run = self.local.job.run
            verdict = reader.judge(run, str(run), self.book())
            if save(run / "verdict.json", encode(verdict), self.local.complain):
                told = [{"failure": cause.failure, "ranks": cause.ranks} for cause in verdict.causes]
                self.local.journal.say("verdict.written", symptom=verdict.symptom, causes=told)
            self.judged.append(verdict)
        except Exception as error:  # whatever is wrong with us, the job goes on
            self.judged.append(f"no verdict now: {type(error).__name__}: {error}")
        with suppress(OSError):
            os.write(self.writer, b"\0")

    def _interim(self, verdict: Verdict | str) -> None:
        if isinstance(verdict, str):
            self.local.complain(verdict)
        elif (answer := gist(verdict)) == self.answer:
            self.screen.say(f"diagnose: as before: {'; '.join(answer)}\n")
        else:
            self.answer = answer
            self.say_verdict(verdict)
        is_at_work = isinstance(verdict, Verdict) and verdict.symptom == "slow"
        if self.local.job.on_stall == "stop" and self.is_stalled and not self.asked and not is_at_work:
            self.asked, self.asked_at, self.is_stopping = 1, time.monotonic(), True
            self.screen.say("diagnose: ending the command (--on-stall stop)\n")
            self.local.journal.say("command.stopped", "warning", why="stalled, and --on-stall stop was given")
            self.local.stop("--on-stall stop")
            self.kill_at = time.monotonic() + STOP_S

    # The end

    def finish(self, code: int) -> Verdict | None:
        """End what is left, bring everything over, judge, write down; None where a signal cut it short."""
        local, run = self.local, self.local.job.run
        stuck = local.ended(code, self.nap)
        if stuck:
            local.complain(f"cannot be ended (the kernel holds them): {', '.join(stuck)}")
        how = f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"
        # Before the collector goes: killed in between, nobody would be left to write how it ended.
        local.move("error" if code else "ok", how + (f"; still there: {', '.join(stuck)}" if stuck else ""))
        is_whole = local.bring()
        asked, self.asked = self.asked, 2  # one more signal, and there is no verdict
        done: list[Verdict | Exception] = []
        self.kept = run if is_whole else local.spool
        work = threading.Thread(target=self._final, args=(done,), daemon=True)
        work.start()
        while work.is_alive() and self.asked == 2:
            self.nap(LOOK_S)
        self.asked += asked
        if is_whole:
            local.clear()
        else:
            local.complain(
                f"not all could be brought to {run}; it is in {local.spool}, and judged from there"
            )
            local.complain(f"once there is room: diagnose show {run}")
        if done and isinstance(done[0], Exception):
            raise done[0]
        return done[0] if done and isinstance(done[0], Verdict) else None

    def _final(self, done: "list[Verdict | Exception]") -> None:
        run = self.local.job.run
        try:
            verdict = reader.judge(self.kept, str(self.kept), self.book())
            verdict = replace(verdict, run=replace(verdict.run, name=run.name))
            if self.kept == run:  # else the next reader writes them, once it has brought over the rest
                try:
                    reader.write(run, verdict)
                except OSError as error:
                    self.local.complain(f"verdict and record cannot be written: {error.strerror or error}")
            done.append(verdict)
        except Exception as error:
            done.append(error)
        with suppress(OSError):
            os.write(self.writer, b"\0")

    def say_end(self, verdict: Verdict, code: int, seconds: float) -> None:
        """One line for a run with nothing wrong, else the verdict."""
        run = self.local.job.run
        if code == 0 and not verdict.causes and verdict.symptom == "none":
            ranks = f"{count(verdict.run.num_ranks, 'rank')}, " if verdict.run.num_ranks else ""
            self.local.complain(f"nothing wrong found; {ranks}{clock(seconds)}; {self.kept}")
        else:
            self.say_verdict(verdict)
            held = "evidence, record and verdict" if self.kept == run else "evidence"
            self.local.complain(f"{held}: {self.kept}")

    def say_verdict(self, verdict: Verdict) -> None:
        """Print it to stderr, styled where that is wanted."""
        columns = paper.width(self.screen.is_terminal)
        text = paper.render(verdict, self.book(), columns, self.full)
        plain = not self.screen.is_terminal or "NO_COLOR" in os.environ
        self.screen.say("\n" + (click.unstyle(text) if plain else text) + "\n")

    def _show(self) -> None:
        """One line that is rewritten on a terminal; elsewhere a line when something changes in kind."""
        if not self.progress.ranks:
            self._miss()
            return
        now, line = time.monotonic(), self.progress.line(time.time())
        if self.screen.is_terminal:
            self.screen.progress(f"diagnose: {line}")
        elif (kind := self.progress.kind()) != self.told and now - self.told_at >= LINE_S:
            self.told, self.told_at = kind, now
            self.screen.say(f"diagnose: {line}\n")

    def _miss(self) -> None:
        """Say once that no rank was seen for long."""
        if not self.is_missed and time.monotonic() - self.begun >= max(MISS_S, self.local.job.stall_after_s):
            self.is_missed = True
            self.screen.say(f"diagnose: {NOBODY} Is one silent: diagnose attach {self._pid()}\n")

    def _pid(self) -> int:
        return self.local.process.pid if self.local.process else 0

    def _errors(self) -> None:
        """What the collector complains about is said once, in its words."""
        with suppress(OSError):
            text = (self.local.spool / "helpers.err").read_text(errors="replace")
            for line in text[self.errors_read :].splitlines():
                if line.startswith("collector: "):
                    self.screen.say(f"diagnose: {line}\n")
            self.errors_read = len(text)
